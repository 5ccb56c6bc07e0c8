"""Clients written with a library. Each is a program that reads the calls to make line by line."""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.client import PATIENCE, Answer, Client, structured
from tests.clients.installer import NODE
from tests.processes import forked

PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class _Program:
    process: subprocess.Popen[str]
    asked: list[str] = field(default_factory=list)

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        print(json.dumps({"name": tool, "arguments": arguments}), file=self.process.stdin, flush=True)
        told = json.loads(self.process.stdout.readline())
        watchdog.cancel()
        self.asked = told["asked"]
        return structured(told["result"])


def in_javascript(
    program: str, mode: str, packages: Path, environment: Mapping[str, str], answers: Sequence[Answer]
) -> AbstractContextManager[Client]:
    # A program passed as text finds the packages of its working directory.
    command = [str(NODE), "--input-type=module", "--eval", (PROGRAMS / program).read_text()]
    return _running(command, packages, mode, environment, answers)


def in_python(
    program: str, mode: str, interpreter: Path, environment: Mapping[str, str], answers: Sequence[Answer]
) -> AbstractContextManager[Client]:
    return _running([str(interpreter), str(PROGRAMS / program)], PROGRAMS, mode, environment, answers)


@contextmanager
def _running(
    command: list[str], place: Path, mode: str, environment: Mapping[str, str], answers: Sequence[Answer]
) -> Iterator[Client]:
    program, *arguments = forked("certctl_mcp")
    server = {"command": program, "args": arguments, "env": environment}
    told = json.dumps({"server": server, "mode": mode, "answers": answers})
    with subprocess.Popen(
        [*command, told], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield _Program(process)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
