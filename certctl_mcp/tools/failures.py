"""What went wrong, what is allowed, what to do? A sentence for an assistant; the details stay in the log."""

import difflib
from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from certctl_mcp.errors import RequestError
from certctl_mcp.untrusted import shown
from storage.errors import (
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseTooNewError,
    DiskFullError,
    NotADatabaseError,
    NotificationError,
    NotificationNotFoundError,
    StorageError,
)

LONGEST = 1000
"""Characters of an explanation."""

# The messages of these errors name the database's place on the machine, which is not an assistant's business.
_STORAGE: tuple[tuple[type[StorageError], str], ...] = (
    (
        DatabaseBusyError,
        "The database is held by another process. Nothing was changed; try again in a few seconds.",
    ),
    (
        DatabaseReadOnlyError,
        "The server may not write its database. Nothing was changed; the operator must see to it.",
    ),
    (
        DatabaseTooNewError,
        "The database was written by a newer version. The operator must upgrade this server.",
    ),
    (DiskFullError, "The disk with the database is full. Nothing was changed; the operator must make room."),
    (NotADatabaseError, "The database is damaged or no database. The operator must restore it."),
    (StorageError, "The database can't be used now. Nothing was changed; the server's log says why."),
)


def explained(failure: BaseException | None) -> str | None:
    """What an assistant is told of `failure`; None where it is a defect and nothing would help."""
    match failure:
        case StorageError():
            return next(sentence for kind, sentence in _STORAGE if isinstance(failure, kind))
        case NotificationNotFoundError():
            return _told(f"{failure}; list_notifications gives the ids there are")
        case NotificationError() | RequestError():
            return _told(str(failure))
        case _:
            return None


def arguments_explained(invalid: ValidationError) -> str:
    """What is wrong with each argument."""
    return _told(" ".join(_argument(error) for error in invalid.errors(include_url=False)))


def unknown_name(what: str, given: str, allowed: Sequence[str]) -> str:
    """That there is no such tool or argument, which may have been meant, and which there are."""
    return _told(
        f"There is no {what} {given!r}{_meant(given, allowed)} There are: {', '.join(allowed) or 'none'}."
    )


def _argument(error: ErrorDetails) -> str:
    name, given = error["loc"][0] if error["loc"] else "arguments", error["input"]
    if error["type"] == "missing":
        return f"{name} is required."
    if error["type"] in ("enum", "literal_error"):
        expected = error.get("ctx", {}).get("expected", "")
        allowed = [value.strip("' ") for value in expected.replace(" or ", ", ").split(",")]
        return f"{name}: {given!r} is not allowed{_meant(str(given), allowed)} Allowed: {', '.join(allowed)}."
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}, not {_short(given)}."


def _meant(given: str, allowed: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(given.lower(), allowed, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else "."


def _short(given: object) -> str:
    written = repr(given)
    return written if len(written) <= 60 else f"{written[:60]}..."


def _told(text: str) -> str:
    return shown(text, LONGEST).text
