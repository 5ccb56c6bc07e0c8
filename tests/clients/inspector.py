"""The Inspector's two command lines: one opens a connection for each call, the other keeps one open."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.clients.client import PATIENCE, Answer, Client, structured
from tests.clients.installer import NODE
from tests.processes import forked

_PATIENT = ["--connect-timeout", str(PATIENCE * 1000)]


@dataclass
class _EachTime:
    """`mcp-inspector --cli`, which doesn't support elicitation."""

    packages: Path
    environment: Mapping[str, str]
    asked: list[str] = field(default_factory=list)

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        called = ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        return structured(json.loads(inspect(self.packages, self.environment, "tools/call", *called)))


@contextmanager
def each_time(packages: Path, environment: Mapping[str, str], _answers: Sequence[Answer]) -> Iterator[Client]:
    yield _EachTime(packages, environment)


def inspect(packages: Path, environment: Mapping[str, str], method: str, *options: str) -> str:
    """The output of the first command line."""
    command = [*_program(packages, "launcher", "index.js"), "--cli", "--quiet", *_PATIENT]
    return _run(
        [*command, *_variables(environment), *forked("certctl_mcp"), "--method", method, *options], {}
    )


@dataclass
class _Connected:
    """`mcpdo`, whose daemon keeps the connection. Its user answers elicitations with another command."""

    command: list[str]
    settings: Mapping[str, str]
    answers: list[Answer]
    asked: list[str] = field(default_factory=list)

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        result = self.run("tools/call", tool, json.dumps(arguments))
        if pending := result.get("elicitationPending"):
            self.asked.append(pending["message"])
            answer = self.answers.pop(0)
            said = json.dumps(answer["content"]) if "content" in answer else f"--{answer['action']}"
            result = self.run("elicitation/respond", pending["elicitationId"], said)
        return structured(result)

    def run(self, *arguments: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(_run([*self.command, *arguments], self.settings))
        return told


@contextmanager
def connected(
    era: str, packages: Path, environment: Mapping[str, str], answers: Sequence[Answer]
) -> Iterator[Client]:
    with TemporaryDirectory() as place:
        settings = {
            "HOME": place,
            "MCP_ALLOW_DEFAULT_CONNECTION": "1",
            "MCP_INSPECTOR_DAEMON_DIR": place,
            "MCP_INSPECTOR_DAEMON_TOKEN": "of the tests alone",
            "MCP_INSPECTOR_SECRET_STORE": "memory",
        }
        mcpdo = _Connected(
            [*_program(packages, "mcpdo", "mcp-bin.js"), "--format", "json"], settings, [*answers]
        )
        mcpdo.run("connect", *_PATIENT, "--era", era, *_variables(environment), "--", *forked("certctl_mcp"))
        try:
            yield mcpdo
        finally:
            mcpdo.run("daemon", "stop")


def _program(packages: Path, client: str, name: str) -> list[str]:
    inspector = packages / "node_modules" / "@modelcontextprotocol" / "inspector"
    return [str(NODE), str(inspector / "clients" / client / "build" / name)]


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]


def _run(command: Sequence[str], settings: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
