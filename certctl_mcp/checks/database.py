"""Checks of the database: location, owner, schema, free disk space and clock. They never create it."""

from collections.abc import Iterator
from datetime import timedelta

import anyio.to_thread

from certctl_mcp.checks.results import CheckResult, fail, ok, warn
from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.settings import Settings
from certctl_mcp.notifiers.network.os_errors import os_reason
from certctl_mcp.runtime.existing_queue import database_source
from storage.clock import utc_now
from storage.errors import StorageError
from storage.maintenance.database_state import DatabaseState, FileState, database_state, file_state

NAME = "database"

_HELP = (
    "while it can't be used, alerts are neither accepted nor delivered: check its URL, and that it is running"
)

_HOW_TO_ADD = (
    "run `DELETE FROM certctl_mcp_version` in the database, then `certctl-mcp migrate`, which adds what is"
    " missing"
)

LOW_SPACE = 256 << 20
VERY_LOW_SPACE = 16 << 20
"""Bytes. With less free space, alerts may soon be refused."""

_LARGEST_CLOCK_ERROR = timedelta(seconds=5)


async def check_database(settings: Settings) -> tuple[CheckResult, ...]:
    url = settings.database_url.get_secret_value()
    try:
        file = await anyio.to_thread.run_sync(file_state, url, abandon_on_cancel=True)
        if file is not None and not file.exists:
            return (_not_there(settings, file), *_disk_space(file))
        state = await database_state(url)
    except StorageError as error:
        return (fail(NAME, f"{error} ({database_source(settings)})", _HELP),)
    except OSError as error:
        found = f"it can't be inspected: {os_reason(error)} ({database_source(settings)})"
        return (fail(NAME, found, _HELP),)
    return (
        _location(settings, state),
        _schema(settings, state),
        *(_disk_space(state.file) if state.file else ()),
        *_clock(state),
    )


def _not_there(settings: Settings, file: FileState) -> CheckResult:
    found = f"there is no database yet at {file.path} ({database_source(settings)})"
    if not file.writable:
        return fail(NAME, f"{found}, and this user may not create it", "create its directory for this user")
    return warn(NAME, found, "the first server or worker creates it; if it should exist, correct the path")


def _location(settings: Settings, state: DatabaseState) -> CheckResult:
    file = state.file
    if file is None:
        return ok(NAME, f"{state.location} ({database_source(settings)})")
    owner = "" if file.owner is None else f", owner {file.owner}"
    found = f"{file.path}, {_size(file.size)}{owner}, mode {file.mode:03o} ({database_source(settings)})"
    if not file.writable:
        return fail(
            NAME,
            f"{found}: this user may not write it",
            "run as its owner, or change the owner of its directory",
        )
    if file.owned_by_another:
        return warn(NAME, f"{found}: it belongs to another user", f"run this program as {file.owner}")
    if file.mode & 0o044:
        return warn(NAME, f"{found}: other users of this machine can read it", f"chmod 600 {file.path}")
    return ok(NAME, found)


def _schema(settings: Settings, state: DatabaseState) -> CheckResult:
    name = "database schema"
    if state.is_current and state.missing:
        found = f"revision {state.revision}, the newest, but without {', '.join(state.missing)}"
        return warn(name, found, _HOW_TO_ADD)
    if state.is_current:
        return ok(name, f"revision {state.revision}, the newest")
    if not state.has_queue:
        return warn(name, "there is no queue in it yet", "the first server or worker creates it")
    if state.revision is None and _only_watches(settings):
        return ok(name, "certctl's own, without additions by this program, which watching doesn't need")
    found = f"revision {state.revision or 'of another program'}, and {state.newest_revision} is the newest"
    if settings.database_migrate is False or state.revision is None:
        return warn(name, found, "`certctl-mcp migrate --dry-run` shows what is missing")
    return warn(name, found, "the next server or worker to start migrates it; back it up first")


def _only_watches(settings: Settings) -> bool:
    """Whether this program's servers don't change certctl's own database."""
    return settings.deliver in (None, DeliveryMode.WATCH) and not settings.database_migrate


def _disk_space(file: FileState) -> Iterator[CheckResult]:
    if file.space is None:
        return
    name, found = "database disk", f"{_size(file.space.free)} free of {_size(file.space.total)}"
    if file.space.free < VERY_LOW_SPACE:
        yield fail(name, found, "free some disk space: no more alerts are accepted once the disk is full")
    elif file.space.free < LOW_SPACE:
        yield warn(name, found, "free some disk space, or set retention periods")
    else:
        yield ok(name, found)


def _clock(state: DatabaseState) -> Iterator[CheckResult]:
    name = "clock"
    if state.clock_ahead is not None:
        apart = format_duration(abs(state.clock_ahead))
        if abs(state.clock_ahead) <= _LARGEST_CLOCK_ERROR:
            yield ok(name, f"the database's and this machine's differ by {apart}")
        else:
            yield warn(
                name,
                f"the database's and this machine's differ by {apart}",
                "synchronize both, for example with NTP; the database's clock decides what is due",
            )
    elif state.file is not None and state.file.modified_at is not None:
        ahead = state.file.modified_at - utc_now()
        if ahead > _LARGEST_CLOCK_ERROR:
            yield warn(
                name,
                f"the newest write to the database is {format_duration(ahead)} in the future: "
                "the clock was set back",
                "synchronize it, for example with NTP",
            )
        else:
            yield ok(name, "not behind the newest write to the database")


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
