"""Our processes as an operator runs them on one database: started, killed, stopped and continued."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from subprocess import PIPE, Popen

from tests.processes import ROOT, Program

SERVER: tuple[str, ...] = ()
WORKER = ("worker",)
READY = "delivering from the database"

PATIENCE = timedelta(seconds=60)
"""How long a test waits for something that must happen, even on a busy machine."""


class FreshProgram(Popen[bytes]):
    """A process started as by a shell rather than forked, with the interface of `Program`."""

    def close(self) -> None:
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stderr):
            if stream:
                stream.close()


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started."""

    command: tuple[str, ...]
    within: str | None = None
    """Its network namespace."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Its own environment variables, in addition to those of the fleet."""
    fresh: bool = False
    """Start it without forking, for variables that matter only when a program starts, such as LD_PRELOAD."""


class Member:
    """One process, and what it writes to stderr."""

    def __init__(self, process: Program | FreshProgram, launch: Launch) -> None:
        self.process = process
        self.launch = launch
        self.output = ""
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read_output())

    async def wait_for_output(self, text: str) -> None:
        """Return once it has written this text."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: text in self.output)

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def wait_for_exit(self) -> int:
        """The exit code, once it has exited and all its output is read."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            # A caller that stops waiting doesn't stop the reading.
            await asyncio.shield(self._reading)
            code = self.process.wait()
        self.process.close()
        return code

    async def _read_output(self) -> None:
        lines = asyncio.StreamReader()
        reading = asyncio.StreamReaderProtocol(lines)
        await asyncio.get_running_loop().connect_read_pipe(lambda: reading, self.process.stderr)
        async for line in lines:
            async with self._more:
                self.output += line.decode()
                self._more.notify_all()


class Fleet:
    """Processes with the same settings, given as environment variables."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.members: list[Member] = []
        self._gone: list[Member] = []

    @property
    def output(self) -> str:
        """The output of all members, including those replaced."""
        return "".join(member.output for member in (*self._gone, *self.members))

    async def start(self, *command: str, within: str | None = None) -> Member:
        return await self.launch(Launch(command, within))

    async def launch(self, launch: Launch) -> Member:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CERTCTL_")}
        environment = {**inherited, **self.settings, **launch.settings}
        process: Program | FreshProgram
        if launch.fresh:
            command = (sys.executable, "-m", "certctl_mcp", *launch.command)
            process = FreshProgram(command, cwd=ROOT, env=environment, stdin=PIPE, stderr=PIPE)
        else:
            process = Program(
                "certctl_mcp",
                *launch.command,
                environment=environment,
                stdin=PIPE,
                stderr=PIPE,
                network=launch.within,
            )
        member = Member(process, launch)
        self.members.append(member)
        return member

    async def replace(self, member: Member) -> Member:
        """Kill the member, unless it is dead already, and start another in its place."""
        if member.process.returncode is None:
            member.send_signal(signal.SIGKILL)
        await member.wait_for_exit()
        self.members.remove(member)
        self._gone.append(member)
        return await self.launch(member.launch)

    async def end(self) -> list[int]:
        """Stop all members gracefully; returns their exit codes."""
        for member in self.members:
            member.send_signal(signal.SIGTERM)
        return [await member.wait_for_exit() for member in self.members]

    async def kill(self) -> None:
        for member in self.members:
            if member.process.returncode is None:
                member.send_signal(signal.SIGKILL)
            await member.wait_for_exit()
