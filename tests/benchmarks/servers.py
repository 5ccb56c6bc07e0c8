"""The servers compared: ours as hosts launch it, and a bare one, both as processes on stdio."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.benchmarks.workspace import ROOT

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

_GREETING: Mapping[str, Json] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmarks", "version": "1"},
}


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole_environment(self) -> dict[str, str]:
        """The environment without the user's own settings of the program."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CERTCTL_")}
        return inherited | {"PYTHONPATH": str(ROOT)} | dict(self.environment)


BARE = Command([str(Path(__file__).parent / "contestants" / "bare_server.py")])


def ours(database: Path) -> Command:
    return Command(["-m", "certctl_mcp"], {"CERTCTL_DATABASE_URL": f"sqlite:///{database}"})


class Server:
    """A server process, called with plain protocol lines, so that the client costs next to nothing."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._asked = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def initialize(self) -> None:
        self.request("initialize", _GREETING)
        self._send({"method": "notifications/initialized"})

    def call(self, tool: str, arguments: Mapping[str, Json]) -> None:
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        assert b'"isError":true' not in result, result

    def request(self, method: str, params: Mapping[str, Json]) -> bytes:
        """Send a request; returns the line of the response."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        assert self._process.stdout
        answer = self._process.stdout.readline()
        assert b'"result"' in answer, answer
        return answer

    def _send(self, message: Mapping[str, Json]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()


@contextmanager
def serving(command: Command) -> Iterator[Server]:
    """A server that is stopped when the context is left."""
    with subprocess.Popen(
        [sys.executable, *command.arguments],
        env=command.whole_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield Server(process)


@asynccontextmanager
async def serving_sdk_client(command: Command, log: TextIO) -> AsyncIterator[Client]:
    """The SDK's client of a server that runs until the context is left. `log` receives its stderr."""
    server = StdioServerParameters(
        command=sys.executable, args=list(command.arguments), env=command.whole_environment
    )
    async with Client(stdio_client(server, errlog=log)) as client:
        yield client
