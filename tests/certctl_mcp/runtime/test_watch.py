"""Who watches is told of changes, of nothing else, and at little cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import pytest

from certctl_mcp.runtime.watch import TooManySubscriptionsError, Watch
from storage.database import Database
from storage.errors import NotificationNotFoundError, StorageError

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.LEAST_PAUSE", timedelta(milliseconds=10))


@dataclass
class Thing:
    """What is watched; it remembers that it was looked at."""

    content: bytes | Exception = b"first"
    looks: int = 0
    _looked: anyio.Event = field(default_factory=anyio.Event)

    async def look(self) -> bytes:
        self.looks += 1
        self._looked.set()
        self._looked = anyio.Event()
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    async def until_looked_at(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._looked.wait()


@dataclass
class Ear:
    """Who is told."""

    told: int = 0
    _heard: anyio.Event = field(default_factory=anyio.Event)

    async def tell(self) -> None:
        self.told += 1
        self._heard.set()

    async def until_told(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._heard.wait()
        self._heard = anyio.Event()


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Watch]:
    watch = Watch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run, database.changes)
        yield watch
        tasks.cancel_scope.cancel()


async def look_again(database: Database, thing: Thing) -> None:
    """Until a change in the database has had it looked at from beginning to end."""
    for _ in range(2):
        database.changes.announce()
        await thing.until_looked_at()


async def test_a_change_is_told(database: Database) -> None:
    thing, ear = Thing(), Ear()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, ear.tell)
        thing.content = b"second"
        database.changes.announce()
        await ear.until_told()


async def test_what_is_looked_at_and_found_unchanged_is_not_told(database: Database) -> None:
    thing, ear = Thing(), Ear()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, ear.tell)
        await look_again(database, thing)
        assert ear.told == 0


async def test_who_has_stopped_is_told_nothing_and_costs_no_look(database: Database) -> None:
    thing, left, other, ear = Thing(), Ear(), Thing(), Ear()
    async with running(database) as watch:
        stop = await watch.subscribe("thing", thing.look, left.tell)
        await watch.subscribe("other", other.look, ear.tell)
        stop()
        stop()
        looks = thing.looks
        thing.content = other.content = b"second"
        await look_again(database, other)
        await ear.until_told()
        assert (thing.looks, left.told) == (looks, 0)


async def test_nothing_is_looked_at_until_something_may_have_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_for: list[int] = []
    looked = anyio.Event()
    wait = database.changes.wait_beyond

    async def wait_beyond(version: int) -> int:
        waited_for.append(version)
        if len(waited_for) == 2:
            looked.set()
        return await wait(version)

    monkeypatch.setattr(database.changes, "wait_beyond", wait_beyond)
    async with running(database):
        with anyio.fail_after(PATIENCE):
            await looked.wait()
        assert waited_for[1] == database.changes.version


async def test_what_is_gone_has_changed_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    thing, ear = Thing(), Ear()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, ear.tell)
        thing.content = NotificationNotFoundError("notif-1")
        database.changes.announce()
        await ear.until_told()
        await look_again(database, thing)
        assert ear.told == 1
    assert not caplog.messages


async def test_what_is_not_there_is_not_watched(database: Database) -> None:
    missing, other, ear = Thing(NotificationNotFoundError("notif-1")), Thing(), Ear()
    async with running(database) as watch:
        with pytest.raises(NotificationNotFoundError):
            await watch.subscribe("missing", missing.look, ear.tell)
        await watch.subscribe("other", other.look, ear.tell)
        await look_again(database, other)
        assert missing.looks == 1


async def test_a_database_that_is_away_delays_it_only(database: Database) -> None:
    thing, ear = Thing(), Ear()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, ear.tell)
        thing.content = StorageError("away")
        database.changes.announce()
        await thing.until_looked_at()
        thing.content = b"second"
        await ear.until_told()


async def test_a_defect_in_one_look_keeps_no_other_from_being_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound, ear, other = Thing(), Thing(), Ear(), Ear()
    async with running(database) as watch:
        await watch.subscribe("broken", broken.look, ear.tell)
        await watch.subscribe("sound", sound.look, other.tell)
        broken.content, sound.content = ValueError("a defect"), b"second"
        database.changes.announce()
        await ear.until_told()
        await other.until_told()
        await look_again(database, sound)
    assert ear.told == 1
    assert sum("broken can't be read" in message for message in caplog.messages) == 1


async def test_one_who_does_not_listen_keeps_no_other_from_being_told(database: Database) -> None:
    thing, ear = Thing(), Ear()
    deaf = Ear()

    async def never() -> None:
        deaf.told += 1
        await anyio.sleep_forever()

    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, never)
        await watch.subscribe("thing", thing.look, ear.tell)
        for content in (b"second", b"third"):
            thing.content = content
            database.changes.announce()
            await ear.until_told()
        assert deaf.told == 1


async def test_one_who_can_not_be_told_is_told_the_next_time(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    thing, ear = Thing(), Ear()

    async def refuse_once() -> None:
        await ear.tell()
        if ear.told == 1:
            raise ConnectionError("gone")

    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, refuse_once)
        for content in (b"second", b"third"):
            thing.content = content
            database.changes.announce()
            await ear.until_told()
    assert "a subscriber could not be notified" in caplog.messages


async def test_no_more_watch_than_may_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_SUBSCRIPTIONS", 1)
    thing, ear = Thing(), Ear()
    watch = Watch()
    stop = await watch.subscribe("thing", thing.look, ear.tell)
    with pytest.raises(TooManySubscriptionsError):
        await watch.subscribe("thing", thing.look, ear.tell)
    stop()
    await watch.subscribe("thing", thing.look, ear.tell)


async def test_one_caller_can_t_take_every_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_PER_CALLER", 1)
    thing, ear = Thing(), Ear()
    watch = Watch()
    stop = await watch.subscribe("thing", thing.look, ear.tell, "http:ada")
    with pytest.raises(TooManySubscriptionsError):
        await watch.subscribe("other", thing.look, ear.tell, "http:ada")
    await watch.subscribe("thing", thing.look, ear.tell, "http:bob")
    stop()
    await watch.subscribe("other", thing.look, ear.tell, "http:ada")
