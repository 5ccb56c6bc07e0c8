"""Opens the application of a worker that may have started before its database.

When a machine boots or a group of containers starts, both start at once. So the worker waits while the
database can't be reached, is locked or has no space on its disk. Any other error, such as a wrong password or
a URL that can't be read, ends the process at once.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import anyio

from certctl_mcp.config.settings import Settings
from certctl_mcp.runtime.application import Application, open_application
from storage.errors import DatabaseBusyError, DatabaseUnreachableError, DiskFullError

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)
"""The pause between two tries doubles from the first to the longest."""


@asynccontextmanager
async def open_application_once_reachable(
    settings: Settings, stop: anyio.Event
) -> AsyncIterator[Application | None]:
    """The application, as soon as its database can be opened; None if `stop` is set before that.

    Raises:
        StorageError: the database can't be used, and waiting would not help.
        SettingsError: a channel can't be built from its settings.
    """
    pause = FIRST_PAUSE
    async with AsyncExitStack() as stack:
        while not stop.is_set():
            try:
                application = await stack.enter_async_context(open_application(settings))
            except (DatabaseUnreachableError, DatabaseBusyError, DiskFullError) as failure:
                logger.warning("%s; trying again in %g s", failure, pause.total_seconds())
                with anyio.move_on_after(pause.total_seconds()):
                    await stop.wait()
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                yield application
                return
        yield None
