"""The queue for Python programs: send, deliver and manage notifications without a server.

Its public names are stable: they change only with a new major version.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.services.errors import RequestError
from storage.errors import StorageError
from storage.models import Accepted, Attempt, NewNotification, Notification, NotificationFilter, SweepReport

Source = Settings | Path | str | None
"""The source of a queue's settings; see `Queue.open`."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

ACTOR = "python"
"""The name in the audit log for callers that give none."""


class Queue:
    """An open queue. All methods raise `StorageError` when the database can't be used.

    Any number of processes may have the same queue open; each notification is attempted by one at a time.
    """

    def __init__(self, application: Application, actor: str) -> None:
        """Use `Queue.open` or `Queue.sync` instead."""
        self._application = application
        self._actor = actor

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Source = None, *, deliver: bool = False, actor: str = ACTOR
    ) -> AsyncIterator[Self]:
        """Open a queue until the context is left, creating its database if there is none.

        `settings` are settings as `load_settings` returns them; or the path of a settings file, which ends
        with `.toml`; or the path of an SQLite database or the URL of any database; or None. Settings that are
        not given come from the `CERTCTL_` environment variables, as for the server.

        With `deliver`, due notifications are attempted in the background, retries included, until the context
        is left; attempts in flight then get the grace period of the settings to finish. Without it, `drain`
        attempts what is due, or a server or worker on the same database does.

        `actor` is recorded in the audit log.

        Raises:
            SettingsError: a setting is wrong.
            StorageError: the database can't be used.
        """
        async with open_application(resolve_settings(settings)) as application:
            queue = cls(application, actor)
            if not deliver:
                yield queue
                return
            async with _delivering(application):
                yield queue

    @classmethod
    @contextmanager
    def sync(
        cls, settings: Source = None, *, deliver: bool = False, actor: str = ACTOR
    ) -> "Iterator[SyncQueue]":
        """`open` for code that is not asynchronous, such as a cron job, a Django view or a Celery task.

        The queue runs in its own thread. It can be used from any thread, but not after a fork.
        """
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(cls.open(settings, deliver=deliver, actor=actor)) as queue,
        ):
            synchronous = SyncQueue(queue, portal)
            try:
                yield synchronous
            finally:
                synchronous._closed = True

    async def send(self, new: NewNotification) -> Accepted:
        """Store an alert durably for delivery. It survives a crash or power loss once this returns.

        With an idempotency key, sending again returns the notification that was accepted first.

        Raises:
            UnknownChannelError: no channel of this name is configured.
            IdempotencyConflictError: its key was accepted before with different contents.
        """
        return await self._application.notifications.send(new, actor=self._actor)

    async def drain(self) -> SweepReport:
        """Attempt everything that is due now, in batches, and return the outcomes.

        Retries that are due later stay in the queue.

        Raises:
            RequestError: this process must not deliver; see `CERTCTL_NOTIFICATION_DELIVER`.
        """
        return await self._application.notifications.drain()

    async def get(self, notification_id: str) -> Notification:
        """Raises: NotificationNotFoundError."""
        notification, _ = await self._application.notifications.get(notification_id)
        return notification

    async def attempts(self, notification_id: str) -> tuple[Attempt, ...]:
        """The attempts that have ended, oldest first. Raises: NotificationNotFoundError."""
        _, attempts = await self._application.notifications.get(notification_id)
        return attempts

    async def find(self, wanted: NotificationFilter, *, limit: int = 50) -> tuple[Notification, ...]:
        """The newest notifications that match, newest first, at most `limit` (1 to 500)."""
        return (await self._application.repository.list(wanted, limit=limit)).items

    async def count(self, wanted: NotificationFilter) -> int:
        """How many notifications match."""
        return await self._application.repository.count(wanted)

    async def requeue(self, notification_id: str) -> Notification:
        """Retry a dead, failed or undelivered notification from scratch.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: its status does not allow it, or it is being attempted.
        """
        return await self._application.notifications.requeue_notification(notification_id, actor=self._actor)

    async def mark_as_read(self, notification_id: str) -> Notification:
        """Settle a notification. If it has not been delivered yet, it will not be.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: it is being attempted.
        """
        return await self._application.notifications.mark_as_read(notification_id, actor=self._actor)


class SyncQueue:
    """A queue for code that is not asynchronous; see the methods of `Queue` for what they do and raise."""

    def __init__(self, queue: Queue, portal: BlockingPortal) -> None:
        """Use `Queue.sync` instead."""
        self._queue = queue
        self._portal = portal
        self._closed = False

    def send(self, new: NewNotification) -> Accepted:
        return self._call(self._queue.send, new)

    def drain(self) -> SweepReport:
        return self._call(self._queue.drain)

    def get(self, notification_id: str) -> Notification:
        return self._call(self._queue.get, notification_id)

    def attempts(self, notification_id: str) -> tuple[Attempt, ...]:
        return self._call(self._queue.attempts, notification_id)

    def find(self, wanted: NotificationFilter, *, limit: int = 50) -> tuple[Notification, ...]:
        return self._call(self._queue.find, wanted, limit=limit)

    def count(self, wanted: NotificationFilter) -> int:
        return self._call(self._queue.count, wanted)

    def requeue(self, notification_id: str) -> Notification:
        return self._call(self._queue.requeue, notification_id)

    def mark_as_read(self, notification_id: str) -> Notification:
        return self._call(self._queue.mark_as_read, notification_id)

    def _call(
        self,
        method: Callable[_Arguments, Awaitable[_Result]],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        """Raises: StorageError: the context of `Queue.sync` has been left."""
        if self._closed:
            raise StorageError("the queue was closed; nothing was done")
        return self._portal.call(partial(method, *args, **kwargs))


def resolve_settings(source: Source) -> Settings:
    """The settings that `source` denotes. Raises: SettingsError."""
    match source:
        case Settings():
            return source
        case None:
            return load_settings(None, os.environ)
        case str() if "://" in source:
            return load_settings(None, os.environ, database_url=source)
    path = Path(source).expanduser()
    if path.suffix == ".toml":
        return load_settings(path, os.environ)
    return load_settings(None, os.environ, database_url=f"sqlite:///{path}")


@asynccontextmanager
async def _delivering(application: Application) -> AsyncIterator[None]:
    """Deliver in the background. An exception of the body is raised as it is, not in a group.

    Raises:
        RequestError: this process must not deliver.
    """
    if not application.delivers:
        raise RequestError("this process must not deliver; see CERTCTL_NOTIFICATION_DELIVER")
    grace: timedelta = application.settings.shutdown_grace
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(application.deliver)
        try:
            yield
        except Exception as raised:  # noqa: BLE001 - raised again below, outside of the task group
            failure = raised
        application.retry_loop.stop()
        await application.retry_loop.wait_for_completion(grace)
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
