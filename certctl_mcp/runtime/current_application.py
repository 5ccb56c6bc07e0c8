"""The application that a process uses, and its replacement by one with other settings.

Both are open for a while: the new one registers its channels and claims before the old one stops, and the
attempts of the old one end by themselves. They share the database, as any two processes may.
"""

from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings
from certctl_mcp.services.errors import DeliveriesOffError

if TYPE_CHECKING:
    from certctl_mcp.runtime.application import Application


class CurrentApplication:
    """Starts with `application`, which delivers between `start` and `stop`."""

    def __init__(self, application: "Application") -> None:
        self.application = application
        self._tasks: TaskGroup | None = None
        self._stopped = False

    def start(self, tasks: TaskGroup) -> None:
        """Start delivering, in this task group."""
        self._tasks = tasks
        self._deliver(self.application)

    async def replace(self, settings: Settings, *, must_deliver: bool = False) -> None:
        """Use an application with these settings from now on.

        `must_deliver`: an application that would deliver nothing is refused.

        Raises:
            SettingsError, StorageError: it can't be opened; the old one stays in use.
        """
        old = self.application
        assert old.open_replacement is not None
        new = await old.open_replacement(settings)
        if must_deliver and new.limitation is not None:
            new.retired.set()
            raise SettingsError([str(DeliveriesOffError(new.limitation))])
        self._deliver(new)
        self.application = new
        old.retired.set()
        if self._stopped:
            new.retry_loop.stop()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopped = True
        self.application.retry_loop.stop()

    def _deliver(self, application: "Application") -> None:
        if self._tasks is not None and application.delivers:
            self._tasks.start_soon(application.deliver)
