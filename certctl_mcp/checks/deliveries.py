"""Checks of deliveries: the running processes, and the channels that no process has."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from certctl_mcp.checks.results import CheckResult, fail, ok, warn
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.runtime.application import Application
from certctl_mcp.services.limitations import LIMITATION_TEXTS, Limitation
from certctl_mcp.text.untrusted import escape_hidden
from storage.errors import StorageError
from storage.models import DeliveringProcess

NAME = "deliveries"

_UNINTENDED = (Limitation.DATABASE_READ_ONLY, Limitation.SCHEMA_INCOMPLETE)
"""Limitations that the settings don't intend."""

_START = "start a server or `certctl-mcp worker` with these settings"

OpenApplication = Callable[[], AbstractAsyncContextManager[Application | None]]
"""Opens the application without creating or migrating anything; None if there is no queue yet."""


async def check_deliveries(open_application: OpenApplication) -> tuple[CheckResult, ...]:
    try:
        async with open_application() as application:
            if application is None:
                return (warn(NAME, "no process has ever used this queue", _START),)
            return tuple([result async for result in _results(application)])
    except StorageError as error:
        return (fail(NAME, f"can't tell which processes deliver: {error}"),)
    except SettingsError as error:
        return tuple(fail(NAME, problem) for problem in error.problems)


async def _results(application: Application) -> AsyncIterator[CheckResult]:
    channels = application.notifications.channels
    if application.limitation in _UNINTENDED:
        # The next server completes an incomplete schema if it may.
        result = fail if application.limitation is Limitation.DATABASE_READ_ONLY else warn
        yield result(NAME, f"off: {LIMITATION_TEXTS[application.limitation]}")
    described = await channels.delivery()
    if described is not None:
        yield ok(NAME, described)
    if not application.delivery_roles.certctl_delivers:
        yield _coverage(channels.configured, await application.repository.processes())
    if unserved := await channels.channels_without_deliverer():
        waiting = sum(channel.waiting for channel in unserved)
        yield warn(
            NAME,
            f"{waiting} notifications are waiting for {len(unserved)} channels that no running process has",
            "`certctl-mcp channels` (list_channels) names them; configure them, or settle the notifications",
        )


def _coverage(configured: Sequence[str], processes: Sequence[DeliveringProcess]) -> CheckResult:
    """Which of the configured channels running processes have."""
    if not processes:
        return warn(NAME, "no running process delivers", _START)
    counts = {name: sum(name in process.channels for process in processes) for name in configured}
    served = [f"{escape_hidden(name)} ({count})" for name, count in counts.items() if count]
    found = f"running processes that have each channel: {', '.join(served) or 'none'}"
    if lacking := [escape_hidden(name) for name, count in counts.items() if not count]:
        return warn(NAME, f"{found}; no running process has {', '.join(lacking)}", _START)
    return ok(NAME, found)
