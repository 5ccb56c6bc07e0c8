"""Processes of ours as an operator runs them, over one database: started, killed, stopped and continued."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from subprocess import PIPE, Popen

from tests.processes import ROOT, Program

SERVER: tuple[str, ...] = ()
WORKER = ("worker",)
READY = "delivering from the database"

PATIENCE = timedelta(seconds=60)
"""How long a test waits for what must come, with the machine busy."""


class ProgramElsewhere(Popen[bytes]):
    """In a network namespace of its own; used as a `Program` is."""

    def close(self) -> None:
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stderr):
            if stream:
                stream.close()


class Member:
    """One process, and what it tells on stderr."""

    def __init__(
        self, process: Program | ProgramElsewhere, command: tuple[str, ...], within: str | None
    ) -> None:
        self.process = process
        self.command = command
        self.within = within
        self.told = ""
        self._more = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def tells(self, text: str) -> None:
        """Return once it has told this."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: text in self.told)

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ends(self) -> int:
        """The exit code, once all that it told is known."""
        async with asyncio.timeout(PATIENCE.total_seconds()):
            # Who gives up waiting gives up only that.
            await asyncio.shield(self._listening)
            code = self.process.wait()
        self.process.close()
        return code

    async def _listen(self) -> None:
        lines = asyncio.StreamReader()
        reading = asyncio.StreamReaderProtocol(lines)
        await asyncio.get_running_loop().connect_read_pipe(lambda: reading, self.process.stderr)
        async for line in lines:
            async with self._more:
                self.told += line.decode()
                self._more.notify_all()


class Fleet:
    """Members with the same settings, given as variables of the environment."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.members: list[Member] = []
        self._gone: list[Member] = []

    @property
    def told(self) -> str:
        """What every member ever told."""
        return "".join(member.told for member in (*self._gone, *self.members))

    async def start(self, *command: str, within: str | None = None) -> Member:
        """`within` is the network namespace that it lives in."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CERTCTL_")}
        environment = inherited | self.settings
        process: Program | ProgramElsewhere
        if within is None:
            process = Program("certctl_mcp", *command, environment=environment, stdin=PIPE, stderr=PIPE)
        else:
            entering = ("ip", "netns", "exec", within, sys.executable, "-m", "certctl_mcp", *command)
            process = ProgramElsewhere(entering, cwd=ROOT, env=environment, stdin=PIPE, stderr=PIPE)
        member = Member(process, command, within)
        self.members.append(member)
        return member

    async def replace(self, member: Member) -> Member:
        """Another one in the place of one that is killed, or has been already."""
        if member.process.returncode is None:
            member.send_signal(signal.SIGKILL)
        await member.ends()
        self.members.remove(member)
        self._gone.append(member)
        return await self.start(*member.command, within=member.within)

    async def end(self) -> list[int]:
        """Tell all to leave; their exit codes."""
        for member in self.members:
            member.send_signal(signal.SIGTERM)
        return [await member.ends() for member in self.members]

    async def kill(self) -> None:
        for member in self.members:
            if member.process.returncode is None:
                member.send_signal(signal.SIGKILL)
            await member.ends()
