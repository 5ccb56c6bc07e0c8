"""Subscribers are notified of changes, of nothing else, and at little cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

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
    """A watched resource that counts how often it is read."""

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
class Subscriber:
    """A subscriber that counts its notifications."""

    notified: int = 0
    _was_notified: anyio.Event = field(default_factory=anyio.Event)

    async def notify(self) -> None:
        self.notified += 1
        self._was_notified.set()

    async def until_notified(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._was_notified.wait()
        self._was_notified = anyio.Event()


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Watch]:
    watch = Watch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run, database.changes)
        yield watch
        tasks.cancel_scope.cancel()


async def look_again(database: Database, thing: Thing) -> None:
    """Return once a change in the database has caused a complete look."""
    for _ in range(2):
        database.changes.announce()
        await thing.until_looked_at()


async def test_a_change_is_announced(database: Database) -> None:
    thing, subscriber = Thing(), Subscriber()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, subscriber.notify)
        thing.content = b"second"
        database.changes.announce()
        await subscriber.until_notified()


async def test_an_unchanged_resource_is_not_announced(database: Database) -> None:
    thing, subscriber = Thing(), Subscriber()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, subscriber.notify)
        await look_again(database, thing)
        assert subscriber.notified == 0


async def test_a_read_that_mixes_two_states_is_not_announced(database: Database) -> None:
    """A resource needs several queries, and a commit can come between them."""
    subscriber, states = Subscriber(), [b"first", b"half of both", b"second", b"second"]

    async def look() -> bytes:
        return states.pop(0) if len(states) > 1 else states[0]

    async with running(database) as watch:
        await watch.subscribe("thing", look, subscriber.notify)
        database.changes.announce()
        await subscriber.until_notified()
        assert states == [b"second"]
        other = Thing()
        await watch.subscribe("other", other.look, Subscriber().notify)
        await look_again(database, other)
        assert subscriber.notified == 1


async def test_a_resource_that_never_stops_changing_is_announced(database: Database) -> None:
    subscriber, looks = Subscriber(), count()

    async def look() -> bytes:
        return str(next(looks)).encode()

    async with running(database) as watch:
        await watch.subscribe("thing", look, subscriber.notify)
        database.changes.announce()
        await subscriber.until_notified()


async def test_after_unsubscribing_nothing_is_announced_or_read(database: Database) -> None:
    thing, left, other, subscriber = Thing(), Subscriber(), Thing(), Subscriber()
    async with running(database) as watch:
        stop = await watch.subscribe("thing", thing.look, left.notify)
        await watch.subscribe("other", other.look, subscriber.notify)
        stop()
        stop()
        looks = thing.looks
        thing.content = other.content = b"second"
        await look_again(database, other)
        await subscriber.until_notified()
        assert (thing.looks, left.notified) == (looks, 0)


async def test_nothing_is_read_until_something_may_have_changed(
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


async def test_a_deletion_is_announced_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    thing, subscriber = Thing(), Subscriber()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, subscriber.notify)
        thing.content = NotificationNotFoundError("notif-1")
        database.changes.announce()
        await subscriber.until_notified()
        await look_again(database, thing)
        assert subscriber.notified == 1
    assert not caplog.messages


async def test_a_missing_resource_cannot_be_watched(database: Database) -> None:
    missing, other, subscriber = Thing(NotificationNotFoundError("notif-1")), Thing(), Subscriber()
    async with running(database) as watch:
        with pytest.raises(NotificationNotFoundError):
            await watch.subscribe("missing", missing.look, subscriber.notify)
        await watch.subscribe("other", other.look, subscriber.notify)
        await look_again(database, other)
        assert missing.looks == 1


async def test_an_unavailable_database_only_delays_the_announcement(database: Database) -> None:
    thing, subscriber = Thing(), Subscriber()
    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, subscriber.notify)
        thing.content = StorageError("away")
        database.changes.announce()
        await thing.until_looked_at()
        thing.content = b"second"
        await subscriber.until_notified()


async def test_an_error_in_one_read_does_not_affect_the_other_subscriptions(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound, subscriber, other = Thing(), Thing(), Subscriber(), Subscriber()
    async with running(database) as watch:
        await watch.subscribe("broken", broken.look, subscriber.notify)
        await watch.subscribe("sound", sound.look, other.notify)
        broken.content, sound.content = ValueError("a defect"), b"second"
        database.changes.announce()
        await subscriber.until_notified()
        await other.until_notified()
        await look_again(database, sound)
    assert subscriber.notified == 1
    assert sum("broken can't be read" in message for message in caplog.messages) == 1


async def test_a_subscriber_that_hangs_does_not_affect_the_others(database: Database) -> None:
    thing, subscriber = Thing(), Subscriber()
    hanging = Subscriber()

    async def never() -> None:
        hanging.notified += 1
        await anyio.sleep_forever()

    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, never)
        await watch.subscribe("thing", thing.look, subscriber.notify)
        for content in (b"second", b"third"):
            thing.content = content
            database.changes.announce()
            await subscriber.until_notified()
        assert hanging.notified == 1


async def test_a_failed_announcement_is_repeated_with_the_next_change(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    thing, subscriber = Thing(), Subscriber()

    async def refuse_once() -> None:
        await subscriber.notify()
        if subscriber.notified == 1:
            raise ConnectionError("gone")

    async with running(database) as watch:
        await watch.subscribe("thing", thing.look, refuse_once)
        for content in (b"second", b"third"):
            thing.content = content
            database.changes.announce()
            await subscriber.until_notified()
    assert "a subscriber could not be notified" in caplog.messages


async def test_the_number_of_subscriptions_is_limited(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_SUBSCRIPTIONS", 1)
    thing, subscriber = Thing(), Subscriber()
    watch = Watch()
    stop = await watch.subscribe("thing", thing.look, subscriber.notify)
    with pytest.raises(TooManySubscriptionsError):
        await watch.subscribe("thing", thing.look, subscriber.notify)
    stop()
    await watch.subscribe("thing", thing.look, subscriber.notify)


async def test_one_caller_cannot_use_up_all_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_PER_CALLER", 1)
    thing, subscriber = Thing(), Subscriber()
    watch = Watch()
    stop = await watch.subscribe("thing", thing.look, subscriber.notify, "http:ada")
    with pytest.raises(TooManySubscriptionsError):
        await watch.subscribe("other", thing.look, subscriber.notify, "http:ada")
    await watch.subscribe("thing", thing.look, subscriber.notify, "http:bob")
    stop()
    await watch.subscribe("other", thing.look, subscriber.notify, "http:ada")
