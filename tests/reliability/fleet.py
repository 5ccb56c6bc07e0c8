"""Processes of ours as an operator runs them, over one database: started, killed, stopped and continued."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]

SERVER: tuple[str, ...] = ()
WORKER = ("worker",)
READY = "delivering from the database"

PATIENCE = timedelta(seconds=60)
"""How long a test waits for what must come, with the machine busy."""


class Member:
    """One process, and what it tells on stderr."""

    def __init__(self, process: Process, command: tuple[str, ...], within: str | None) -> None:
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
            await self._listening
            return await self.process.wait()

    async def _listen(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
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
        entering = ("ip", "netns", "exec", within) if within else ()
        process = await asyncio.create_subprocess_exec(
            *(*entering, sys.executable, "-m", "certctl_mcp", *command),
            cwd=ROOT,
            env=inherited | self.settings,
            stdin=PIPE,
            stderr=PIPE,
        )
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
