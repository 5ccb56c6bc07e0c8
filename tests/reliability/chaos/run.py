"""One run: alerts are accepted while faults happen; once everything is settled, the result is checked."""

import asyncio
import random
import signal
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database
from storage.errors import StorageError
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.chaos.checker import Pause, Record, summary, violations
from tests.reliability.chaos.database_state import read_state
from tests.reliability.chaos.locks import lock
from tests.reliability.chaos.processes import CHANNELS, SETTINGS, WITH_CLOCK, launches, set_clock
from tests.reliability.chaos.receiver import Receivers, receiving
from tests.reliability.chaos.schedule import Behaviour, Event, Fault, schedule
from tests.reliability.fleet import Fleet, Member
from tests.reliability.wait_until import wait_until

BETWEEN_ACCEPTS = 0.04
SETTLING = 60.0
"""Seconds within which every alert must be settled once the faults are over."""

_BEHAVIOURS = {Fault.HANG: Behaviour.HANG, Fault.CUT: Behaviour.CUT, Fault.BUSY: Behaviour.BUSY}


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    events: list[Event]
    violations: list[str]
    summary: str
    log: str
    """What the processes wrote to stderr."""


async def run(url: str, seed: int, seconds: float, place: Path) -> Report:
    """`place` is a directory for the run's files."""
    receivers = Receivers(seed)
    async with receiving(receivers), Database.open(url) as database:
        chaos = _Chaos(url, seed, place, receivers)
        return await chaos.run(database, seconds)


class _Chaos:
    def __init__(self, url: str, seed: int, place: Path, receivers: Receivers) -> None:
        self._url = url
        self._seed = seed
        self._place = place
        self._receivers = receivers
        self._record = Record()
        self._launches = launches(place, receivers.url)
        self._fleet = Fleet(SETTINGS | {"CERTCTL_DATABASE_URL": url})
        self._members: dict[str, Member] = {}
        # Faults of one process or channel happen one after another.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, database: Database, seconds: float) -> Report:
        # On SQLite a wrong clock can cause some overlaps. In any other run no overlap is acceptable.
        clocks = [name for name in self._launches if name == WITH_CLOCK and self._seed % 2]
        events = schedule(self._seed, seconds, list(self._launches), list(CHANNELS), clocks)
        try:
            for name, launch in self._launches.items():
                self._members[name] = await self._fleet.launch(launch)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._accept(NotificationRepository(database), seconds))
                for event in events:
                    tasks.create_task(self._happen(event))
            await self._settle(database)
            codes = await self._fleet.end()
            # A process that has just been started doesn't handle signals yet.
            self._record.exit_codes = [code for code in codes if code != -signal.SIGTERM]
        finally:
            await self._fleet.kill()
        found = await read_state(self._url)
        requests = self._receivers.requests
        return Report(
            self._seed,
            events,
            violations(self._record, requests, found),
            summary(requests, found),
            self._fleet.output,
        )

    async def _accept(self, repository: NotificationRepository, seconds: float) -> None:
        chance = random.Random(f"alerts {self._seed}")
        ends = time.monotonic() + seconds
        number = 0
        while time.monotonic() < ends:
            number += 1
            message = f"alert {number}"
            new = new_notification(message=message, channel=chance.choice(CHANNELS))
            try:
                accepted = await repository.accept(new)
            except StorageError:
                self._record.unanswered.add(message)
            else:
                self._record.accepted[message] = accepted.notification.id
            await asyncio.sleep(BETWEEN_ACCEPTS)

    async def _settle(self, database: Database) -> None:
        repository = NotificationRepository(database)

        async def settled() -> bool:
            counts = await repository.count_by_status()
            return not counts[NotificationStatus.PENDING] + counts[NotificationStatus.FAILED]

        # The check reports what isn't settled.
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING):
                await wait_until(database, settled)

    async def _happen(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        async with self._turns[event.target]:
            match event.fault:
                case Fault.KILL:
                    await self._kill(event.target)
                case Fault.STOP:
                    await self._stop(event.target, event.seconds)
                case Fault.LOCK:
                    await lock(self._url, event.seconds)
                case Fault.JUMP:
                    # To the future or the past, as scheduled.
                    if self._url.startswith("sqlite"):
                        self._record.wrong_clocks.add(event.target)
                    set_clock(self._place, 1 if int(event.seconds * 1000) % 2 else -1)
                    await asyncio.sleep(event.seconds)
                    set_clock(self._place, 0)
                case fault:
                    self._receivers.faults[event.target] = _BEHAVIOURS[fault]
                    await asyncio.sleep(event.seconds)
                    del self._receivers.faults[event.target]

    async def _kill(self, name: str) -> None:
        begun = time.monotonic()
        self._members[name] = await self._fleet.replace(self._members[name])
        self._record.pauses.append(Pause(name, begun, time.monotonic()))

    async def _stop(self, name: str, seconds: float) -> None:
        begun = time.monotonic()
        self._members[name].send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._members[name].send_signal(signal.SIGCONT)
        self._record.pauses.append(Pause(name, begun, time.monotonic()))
