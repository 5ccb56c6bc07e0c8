"""Subscriptions to things that change: each is read again when the database has changed, and its subscribers
are notified if it differs."""

import logging
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

MOST_WATCHERS = 1000
"""In all. Each costs a read, at worst, whenever something changed."""

LEAST_PAUSE = timedelta(milliseconds=200)
"""Between two rounds of looking, however busy the queue."""

LONGEST_PAUSE = timedelta(seconds=30)
"""The pauses while the database can't be read double up to this."""

_REST = 4
"""Times as long as a round of looking took, nothing is looked at."""

Look = Callable[[], Awaitable[bytes]]
"""Gives a fingerprint: equal as long as nothing has changed. Raises `NotificationError` where it is gone."""

Tell = Callable[[], Awaitable[None]]
Stop = Callable[[], None]

_GONE = b"gone"
_BROKEN = b"broken"


class TooManyWatchersError(RequestError):
    """As much is watched as may be."""

    def __init__(self) -> None:
        super().__init__(
            f"{MOST_WATCHERS} subscriptions are open, which is as many as may be; end some first"
        )


@dataclass(eq=False, slots=True)
class _Watcher:
    """Told one change at a time; changes that come meanwhile are told as one."""

    tell: Tell
    untold: bool = False
    listening: bool = False

    async def hear(self) -> None:
        try:
            while self.untold:
                self.untold = False
                await self.tell()
        except Exception:
            # The supervised edge: one who can't be told keeps nobody else from being told.
            logger.exception("a change could not be told")
        finally:
            self.listening = False


@dataclass(eq=False, slots=True)
class _Subject:
    look: Look
    seen: bytes | None = None
    """None until it is looked at for the first time."""
    watchers: set[_Watcher] = field(default_factory=set)


class Watch:
    """What is watched, and by whom. `run` must be running for anybody to be told."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._watchers = 0

    async def add(self, key: str, look: Look, tell: Tell) -> Stop:
        """Have `tell` called when what `key` names differs from now, until the answer is called.

        Raises:
            TooManyWatchersError: there are as many as may be.
            And what `look` raises.
        """
        if self._watchers >= MOST_WATCHERS:
            raise TooManyWatchersError
        watcher = _Watcher(tell)
        # Before the first look: a change that comes while it is made is then found by the next round.
        subject = self._subjects.setdefault(key, _Subject(look))
        subject.watchers.add(watcher)
        self._watchers += 1

        def stop() -> None:
            if watcher in subject.watchers:
                subject.watchers.remove(watcher)
                watcher.untold = False
                self._watchers -= 1
                if not subject.watchers:
                    del self._subjects[key]

        try:
            found = await look()
        except BaseException:
            stop()
            raise
        if subject.seen is None:
            subject.seen = found
        return stop

    async def run(self, changes: "Changes") -> None:
        """Tell what changes, until cancelled. A database that can't be read only delays it."""
        version = -1
        pause = LEAST_PAUSE.total_seconds()
        async with anyio.create_task_group() as telling:
            while True:
                found = await changes.wait_beyond(version)
                started = anyio.current_time()
                try:
                    await self._look_at_everything(telling)
                except StorageError as failure:
                    pause = min(pause * 2, LONGEST_PAUSE.total_seconds())
                    logger.warning("what is watched can't be read: %s; trying again in %g s", failure, pause)
                else:
                    version = found
                    took = anyio.current_time() - started
                    pause = max(LEAST_PAUSE.total_seconds(), took * _REST)
                await anyio.sleep(pause)

    async def _look_at_everything(self, telling: TaskGroup) -> None:
        for key, subject in list(self._subjects.items()):
            found = await self._look(key, subject)
            # Compared with what was seen last by now: somebody may have begun to watch meanwhile.
            before, subject.seen = subject.seen, found
            if before is None or before == found:
                continue
            for watcher in subject.watchers:
                watcher.untold = True
                if not watcher.listening:
                    watcher.listening = True
                    telling.start_soon(watcher.hear)

    async def _look(self, key: str, subject: _Subject) -> bytes:
        try:
            return await subject.look()
        except StorageError:
            raise
        except (NotificationError, RequestError):
            return _GONE
        except Exception:
            # The supervised edge: who reads it is told; the others are looked at all the same.
            if subject.seen != _BROKEN:
                logger.exception("%s can't be looked at", key)
            return _BROKEN
