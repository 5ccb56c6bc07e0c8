"""The lifespan of a server, which can respond while its application is still opening.

Importing the database libraries takes as long as starting a small server, and a database may be locked, so
the start doesn't wait for either. A request that needs the application waits for it, or fails with the
reason.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings
from certctl_mcp.runtime.confirmations import Confirmations
from certctl_mcp.runtime.current_application import CurrentApplication
from certctl_mcp.runtime.gc_tuning import freeze_startup_objects
from certctl_mcp.runtime.reload import Load, SettingsReload
from certctl_mcp.runtime.watch import Watch
from storage.clock import Clock, utc_now
from storage.errors import MissingQueueError, StorageError

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
"""The pause between two tries to open doubles from the first to the longest. A request cuts it short."""

Opener = Callable[[Settings], AbstractAsyncContextManager["Application"]]


class Opening:
    """The application of one server process: opening, open, or failing to open for now.

    `run` opens it and keeps it open, with its retry loop running, until `close`.
    """

    def __init__(self, settings: Settings, open_application: Opener, clock: Clock) -> None:
        self.clock = clock
        self.confirmations = Confirmations()
        self.watch = Watch()
        """The subscriptions, which are served while the application is open."""
        self.settings = settings
        """The settings in effect."""
        self.after_reload: list[Callable[[Settings], None]] = []
        """Called with new settings once they are in effect."""
        self._open_application = open_application
        self._current: CurrentApplication | None = None
        self._failure: StorageError | None = None
        self._settled = anyio.Event()
        self._wanted = anyio.Event()
        self._closing = anyio.Event()
        self._closed = anyio.Event()
        self._running = anyio.CancelScope()
        self._long_lived: set[Callable[[], None]] = set()
        self._leaving = False

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the configured channels."""
        return tuple(self.settings.named_channels)

    async def application(self) -> "Application":
        """The open application. Waits while it opens; if the last try failed, the next one starts at once.

        Raises:
            StorageError: the database can't be used.
        """
        if self._current is None:
            self._wanted.set()
            await self._settled.wait()
        if self._current is None:
            raise self._failure or StorageError("the server is closing")
        return self._current.application

    async def reload(self, settings: Settings) -> None:
        """Use these settings from now on. Raises: SettingsError, StorageError: they can't be used."""
        if self._current is not None:
            await self._current.replace(settings)
        self.settings = settings
        for apply in self.after_reload:
            apply(settings)

    async def run(self) -> None:
        """Open, retrying for as long as it takes, and stay open until closed.

        Raises: SettingsError, MissingQueueError.
        """
        pause = FIRST_PAUSE
        try:
            with self._running:
                while not self._closing.is_set():
                    try:
                        async with self._open_application(self.settings) as application:
                            await self._serve(application)
                    except MissingQueueError:
                        raise
                    except StorageError as failure:
                        logger.warning("%s; trying again in %g s", failure, pause.total_seconds())
                        self._settle(failure)
                        await self._pause(pause)
                        pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._current = None
            self._settled.set()
            self._closed.set()

    def leave(self) -> None:
        """Begin no more attempts, and end long-lived streams. Everything else continues until `close`."""
        self._leaving = True
        if self._current is not None:
            self._current.stop()
        self.end_long_lived()

    def end_long_lived(self) -> None:
        """End long-lived streams, such as subscriptions; clients reconnect."""
        for end in list(self._long_lived):
            end()

    @contextmanager
    def long_lived(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when the process must stop: the body would not end by itself."""
        self._long_lived.add(end)
        try:
            if self._leaving:
                end()
            yield
        finally:
            self._long_lived.discard(end)

    async def close(self) -> None:
        """Claim nothing more, let the attempts in flight finish, and close the database."""
        self._closing.set()
        if self._current is None:
            self._running.cancel()
        await self._closed.wait()

    async def _serve(self, application: "Application") -> None:
        async with anyio.create_task_group() as tasks:
            current = CurrentApplication(application)
            while current.application.settings is not self.settings:
                await self._catch_up(current)
            current.start(tasks)
            async with anyio.create_task_group() as watching:
                watching.start_soon(self.watch.run, application.repository.changes)
                self._current = current
                self._settled.set()
                freeze_startup_objects()
                await self._closing.wait()
                watching.cancel_scope.cancel()
            current.stop()

    async def _catch_up(self, current: CurrentApplication) -> None:
        """Apply settings that were reloaded while it was opening."""
        reloaded = self.settings
        try:
            await current.replace(reloaded)
        except SettingsError as wrong:
            logger.error("the settings were not reloaded, and the old ones stay in effect: %s", wrong)
            if self.settings is reloaded:
                self.settings = current.application.settings

    def _settle(self, failure: StorageError) -> None:
        self._failure = failure
        self._wanted = anyio.Event()
        self._settled.set()
        self._settled = anyio.Event()

    async def _pause(self, longest: timedelta) -> None:
        with anyio.move_on_after(longest.total_seconds()):
            await self._wanted.wait()


@asynccontextmanager
async def opening(
    settings: Settings, open_application: Opener | None = None, clock: Clock = utc_now
) -> AsyncIterator[Opening]:
    """Open the application in the background, and close it gracefully when the body ends.

    If the body is cancelled, attempts in flight are cancelled too.

    Raises:
        SettingsError: a channel can't be built from its settings.
        MissingQueueError: the settings are read-only, and there is no queue.
    """
    opened = Opening(settings, open_application or _imported_first, clock)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opened.run)
            try:
                yield opened
            finally:
                await opened.close()
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from None
        raise


@asynccontextmanager
async def opening_with_reload(
    settings: Settings, load: Load | None, open_application: Opener | None = None, clock: Clock = utc_now
) -> AsyncIterator[Opening]:
    """The same, but if `load` is given, it reads the settings again when a secret file has changed."""
    async with opening(settings, open_application, clock) as opened, anyio.create_task_group() as tasks:
        if load is not None:
            tasks.start_soon(SettingsReload(settings, load).run, opened.reload)
        yield opened
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _imported_first(settings: Settings) -> "AsyncIterator[Application]":
    open_application = await anyio.to_thread.run_sync(_import_application)
    async with open_application(settings) as application:
        yield application


def _import_application() -> Opener:
    from certctl_mcp.runtime.application import open_application

    return open_application
