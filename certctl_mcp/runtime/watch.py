"""Subscriptions to subjects that change. Each subject is read again when the database has changed, and its
subscribers are notified if it differs."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from certctl_mcp.services.errors import RequestError
from storage.errors import NotificationError, StorageError

if TYPE_CHECKING:
    from storage.engine.changes import Changes

logger = logging.getLogger(__name__)

MAX_PER_CALLER = 200
MAX_SUBSCRIPTIONS = 1000
"""The most subscriptions of all clients together. Each may cost a read whenever the database changes."""

LEAST_PAUSE = timedelta(milliseconds=200)
"""The shortest pause between two rounds of reads, however busy the queue."""

LONGEST_PAUSE = timedelta(seconds=30)
"""While the database can't be read, the pause between two tries doubles up to this."""

_PAUSE_FACTOR = 4
"""A pause is this many times as long as the round of reads before it."""

_MOST_READS = 4
"""The most reads of a subject in one round."""

Read = Callable[[], Awaitable[bytes]]
"""Returns a fingerprint, which stays equal until something changes. Raises `NotificationError` if the subject
is gone."""

Notify = Callable[[], Awaitable[None]]
Unsubscribe = Callable[[], None]

_GONE = b"gone"
_BROKEN = b"broken"


class TooManySubscriptionsError(RequestError):
    """A limit on subscriptions is reached: that of the process, or that of one caller."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} subscriptions are open, which is the limit; end some first")


@dataclass(eq=False, slots=True)
class _Subscriber:
    """A subscriber, notified of one change at a time. Changes that happen meanwhile are combined into one
    notification."""

    notify: Notify
    pending: bool = False
    notifying: bool = False

    async def deliver(self) -> None:
        try:
            while self.pending:
                self.pending = False
                await self.notify()
        except Exception:
            # The supervised edge: a subscriber that can't be notified must not affect the others.
            logger.exception("a subscriber could not be notified")
        finally:
            self.notifying = False


@dataclass(eq=False, slots=True)
class _Subject:
    read: Read
    seen: bytes | None = None
    """The last fingerprint; None until it is read for the first time."""
    subscribers: set[_Subscriber] = field(default_factory=set)


class Watch:
    """The subscriptions of a process. `run` must be running for subscribers to be notified."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._subscriptions = 0
        self._of_caller: Counter[str] = Counter()

    async def subscribe(self, key: str, read: Read, notify: Notify, caller: str = "") -> Unsubscribe:
        """Call `notify` whenever the subject named `key` changes, until the returned function is called.

        A `caller` with a name gets only a share, so that one of several can't take all subscriptions.

        Raises:
            TooManySubscriptionsError: a limit is reached.
            Also raises what `read` raises.
        """
        if self._subscriptions >= MAX_SUBSCRIPTIONS:
            raise TooManySubscriptionsError(MAX_SUBSCRIPTIONS)
        if caller and self._of_caller[caller] >= MAX_PER_CALLER:
            raise TooManySubscriptionsError(MAX_PER_CALLER)
        subscriber = _Subscriber(notify)
        # Before the first read, so that the next round finds a change that happens during it.
        subject = self._subjects.setdefault(key, _Subject(read))
        subject.subscribers.add(subscriber)
        self._subscriptions += 1
        self._of_caller[caller] += 1

        def unsubscribe() -> None:
            if subscriber in subject.subscribers:
                subject.subscribers.remove(subscriber)
                subscriber.pending = False
                self._subscriptions -= 1
                self._of_caller[caller] -= 1
                if not self._of_caller[caller]:
                    del self._of_caller[caller]
                if not subject.subscribers:
                    del self._subjects[key]

        try:
            found = await read()
        except BaseException:
            unsubscribe()
            raise
        if subject.seen is None:
            subject.seen = found
        return unsubscribe

    async def run(self, changes: "Changes") -> None:
        """Notify subscribers of changes until cancelled. A database that can't be read only causes a
        delay."""
        version = -1
        pause = LEAST_PAUSE.total_seconds()
        async with anyio.create_task_group() as notifying:
            while True:
                found = await changes.wait_beyond(version)
                started = anyio.current_time()
                try:
                    await self._read_all(notifying)
                except StorageError as failure:
                    pause = min(pause * 2, LONGEST_PAUSE.total_seconds())
                    logger.warning(
                        "the subjects of subscriptions can't be read: %s; trying again in %g s",
                        failure,
                        pause,
                    )
                else:
                    version = found
                    took = anyio.current_time() - started
                    pause = max(LEAST_PAUSE.total_seconds(), took * _PAUSE_FACTOR)
                await anyio.sleep(pause)

    async def _read_all(self, notifying: TaskGroup) -> None:
        for key, subject in list(self._subjects.items()):
            found = await self._read(key, subject)
            if found not in (subject.seen, _GONE, _BROKEN):
                found = await self._read_until_stable(key, subject, found)
            # Compared with the newest fingerprint, because a subscriber may have been added meanwhile.
            before, subject.seen = subject.seen, found
            if before is None or before == found:
                continue
            for subscriber in subject.subscribers:
                subscriber.pending = True
                if not subscriber.notifying:
                    subscriber.notifying = True
                    notifying.start_soon(subscriber.deliver)

    async def _read_until_stable(self, key: str, subject: _Subject, found: bytes) -> bytes:
        """Read again until two reads agree: one during which a transaction commits may mix two states."""
        for _ in range(_MOST_READS - 1):
            before, found = found, await self._read(key, subject)
            if found == before:
                break
        return found

    async def _read(self, key: str, subject: _Subject) -> bytes:
        try:
            return await subject.read()
        except StorageError:
            raise
        except (NotificationError, RequestError):
            return _GONE
        except Exception:
            # The supervised edge: a defect in one subject must not stop the others.
            if subject.seen != _BROKEN:
                logger.exception("%s can't be read", key)
            return _BROKEN
