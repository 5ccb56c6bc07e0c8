"""Other people's clients: each launches the server as its own subprocess, and calls the tools it is told."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tests.clients.installing import NODE

PROGRAMS = Path(__file__).parent / "programs"
SERVER = [sys.executable, "-m", "certctl_mcp"]
PATIENCE = 60
"""Seconds, for one call."""


class Calling(Protocol):
    """A client that is connected."""

    def __call__(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structured answer; the text must say the same."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A client, the fixture that gives what it runs on, and how it is connected with that."""

    needs: str
    connected: Callable[[Path, Mapping[str, str]], AbstractContextManager[Calling]]


@contextmanager
def _program(command: list[str], place: Path, environment: Mapping[str, str], mode: str) -> Iterator[Calling]:
    """One that is written with a library: it stays connected, and takes a call a line."""
    server = {"command": SERVER[0], "args": SERVER[1:], "env": dict(environment)}
    told = json.dumps({"server": server, "mode": mode, "answer": None})
    with subprocess.Popen(
        [*command, told], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def call(tool: str, /, **arguments: Any) -> dict[str, Any]:
            assert process.stdin
            assert process.stdout
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            print(json.dumps({"name": tool, "arguments": arguments}), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            watchdog.cancel()
            return _structured(answer)

        yield call
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def _in_javascript(
    program: str, packages: Path, environment: Mapping[str, str], mode: str = ""
) -> AbstractContextManager[Calling]:
    # What is given as text finds the packages of the directory that it runs in.
    text = (PROGRAMS / program).read_text()
    return _program([str(NODE), "--input-type=module", "--eval", text], packages, environment, mode)


def _in_python(
    program: str, interpreter: Path, environment: Mapping[str, str], mode: str = ""
) -> AbstractContextManager[Calling]:
    return _program([str(interpreter), str(PROGRAMS / program)], PROGRAMS, environment, mode)


@contextmanager
def _inspector(packages: Path, environment: Mapping[str, str]) -> Iterator[Calling]:
    """It connects for each call anew, and launches the server each time."""

    def call(tool: str, /, **arguments: Any) -> dict[str, Any]:
        called = ["tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        return _structured(inspect(packages, environment, *called))

    yield call


def inspect(packages: Path, environment: Mapping[str, str], method: str, *options: str) -> str:
    """What the Inspector's command line answers."""
    program = packages / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher"
    variables = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
    inspector = [str(NODE), str(program / "build" / "index.js"), "--cli", "--quiet"]
    done = subprocess.run(
        [*inspector, *variables, *SERVER, "--method", method, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _structured(answer: str) -> dict[str, Any]:
    result = json.loads(answer)
    assert not result.get("isError"), result
    (content,) = result["content"]
    found: dict[str, Any] = result["structuredContent"]
    assert json.loads(content["text"]) == found
    return found


CLIENTS: dict[str, Kind] = {
    "Inspector": Kind("node_packages", _inspector),
    "TypeScript SDK 1": Kind("node_packages", partial(_in_javascript, "typescript_1.mjs")),
    "TypeScript SDK 2": Kind("node_packages", partial(_in_javascript, "typescript_2.mjs", mode="auto")),
    "Python SDK 1": Kind("python_with_mcp_1", partial(_in_python, "python_1.py")),
    "Python SDK 2": Kind("this_python", partial(_in_python, "python_2.py", mode="2026-07-28")),
    "FastMCP": Kind("python_with_fastmcp", partial(_in_python, "with_fastmcp.py", mode="auto")),
}
