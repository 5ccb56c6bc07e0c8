"""The exit code of each error that can end a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.services.errors import (
    AmbiguousIdError,
    RequestError,
    UnknownChannelError,
    message_with_suggestion,
)
from storage.errors import (
    DatabaseTooNewError,
    InvalidCursorError,
    NotificationError,
    StorageError,
    UnsupportedDatabaseError,
)

_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (SettingsError, ExitCode.USAGE),
    (UnknownChannelError, ExitCode.USAGE),
    (AmbiguousIdError, ExitCode.USAGE),
    (InvalidCursorError, ExitCode.USAGE),
    (RequestError, ExitCode.NOT_DONE),
    (NotificationError, ExitCode.NOT_DONE),
    (DatabaseTooNewError, ExitCode.OUTDATED),
    (UnsupportedDatabaseError, ExitCode.USAGE),
    (StorageError, ExitCode.DATABASE),
)
_KNOWN = tuple(kind for kind, _ in _CODES)


@contextmanager
def command_failures() -> Iterator[None]:
    """Turn errors that the user must see into a CommandFailedError."""
    try:
        yield
    except _KNOWN as failure:
        raise _command_failure(failure) from failure
    except ExceptionGroup as failures:
        # The database and the loop run in task groups, which wrap exceptions in exception groups.
        first: Exception = failures
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, CommandFailedError):
            raise first from failures
        if not isinstance(first, _KNOWN):
            raise
        raise _command_failure(first) from failures


def _command_failure(failure: Exception) -> CommandFailedError:
    code = next(code for kind, code in _CODES if isinstance(failure, kind))
    problems = failure.problems if isinstance(failure, SettingsError) else (message_with_suggestion(failure),)
    return CommandFailedError(code, *problems)
