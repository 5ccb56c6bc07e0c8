"""Errors as an assistant reads them: what went wrong, what is allowed, what to do. Details are logged."""

from collections.abc import Iterable, Sequence

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from certctl_mcp.services.bulk import BulkActionStoppedError
from certctl_mcp.services.errors import LONGEST_GIVEN, RequestError, quoted
from certctl_mcp.services.suggestions import nearest_name
from certctl_mcp.text.untrusted import clean_excerpt, encode_id
from storage.errors import (
    ChangeUnknownError,
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseTooNewError,
    DatabaseUnreachableError,
    DiskFullError,
    IdempotencyConflictError,
    NotADatabaseError,
    NotificationConflictError,
    NotificationError,
    NotificationNotFoundError,
    SchemaIncompleteError,
    StorageError,
)

LONGEST = 1000
"""The most characters of an explanation."""

_MAX_ERRORS = 10
"""More names than fit into an explanation."""

# The messages of these errors contain the database's location, which an assistant needn't know.
_STORAGE: tuple[tuple[type[StorageError], str], ...] = (
    (
        ChangeUnknownError,
        "The connection to the database was lost before it responded: whether the change was made is "
        "unknown. Check before trying again; sending again is safe only with the same idempotency key.",
    ),
    (
        DatabaseBusyError,
        "The database is locked by another process. Nothing was changed; try again in a few seconds.",
    ),
    (
        SchemaIncompleteError,
        "The database lacks a part of this program's schema, so it can only be read here. Nothing was "
        "changed; its operator may run certctl-mcp migrate.",
    ),
    (
        DatabaseUnreachableError,
        "The database can't be reached now. Check whether the change was made before repeating it; the "
        "server reconnects automatically.",
    ),
    (
        DatabaseReadOnlyError,
        "The server may not write its database. Nothing was changed; the operator must fix its permissions.",
    ),
    (
        DatabaseTooNewError,
        "The database was written by a newer version. The operator must upgrade this server.",
    ),
    (
        DiskFullError,
        "The disk with the database is full. Nothing was changed; the operator must free some space.",
    ),
    (NotADatabaseError, "The database is damaged or not a database. The operator must restore it."),
    (StorageError, "The database can't be used now. Nothing was changed; the server's log says why."),
)


def explained(failure: BaseException | None) -> str | None:
    """The explanation of `failure` for an assistant; None for a bug, about which it can do nothing."""
    match failure:
        case StorageError():
            return next(sentence for kind, sentence in _STORAGE if isinstance(failure, kind))
        case NotificationNotFoundError():
            return _bounded(
                f"There is no notification {_id(failure.notification_id)}{_meant_id(failure.nearest)} "
                "list_notifications lists the ids."
            )
        case IdempotencyConflictError():
            return _bounded(
                f"The idempotency key {quoted(failure.idempotency_key)} belongs to notification "
                f"{_id(failure.notification_id)}, which has different contents; use a new key for a new "
                "notification."
            )
        case NotificationConflictError():
            return _bounded(
                f"Notification {_id(failure.notification_id)} is {failure.status.value}: {failure.reason}."
            )
        case NotificationError() | RequestError() | BulkActionStoppedError():
            return _bounded(str(failure))
        case ToolError():
            # Only the SDK raises it, for a user's answer in an unexpected form.
            return "The user's answer could not be read. Nothing was changed; call again to ask again."
        case _:
            return None


def similar_name(failure: BaseException | None) -> str | None:
    """A name from outside that may have been meant, which a result shows as untrusted."""
    return failure.similar if isinstance(failure, RequestError) else None


def arguments_explained(invalid: ValidationError) -> str:
    """What is wrong with each argument."""
    errors = invalid.errors(include_url=False)[:_MAX_ERRORS]
    return _bounded(" ".join(map(_argument, errors)))


def unknown_names(what: str, given: Sequence[str], allowed: Sequence[str]) -> str:
    """A message that none of these tools or arguments exists, with suggestions and those that do."""
    if len(given) == 1:
        return unknown_name(what, given[0], allowed)
    listed = ", ".join(
        _given(name) if (nearest := nearest_name(name, allowed)) is None else f"{_given(name)} ({nearest!r}?)"
        for name in given[:5]
    )
    more = f" and {len(given) - 5} more" if len(given) > 5 else ""
    return _bounded(f"There is no {what} {listed}{more}. There are: {', '.join(allowed) or 'none'}.")


def unknown_name(what: str, given: str, allowed: Sequence[str]) -> str:
    """A message that there is no such tool or argument, with a suggestion and those that exist."""
    return _bounded(
        f"There is no {what} {_given(given)}{_meant(given, allowed)} "
        f"There are: {', '.join(allowed) or 'none'}."
    )


def _argument(error: ErrorDetails) -> str:
    name, given = error["loc"][0] if error["loc"] else "arguments", error["input"]
    if error["type"] == "missing":
        return f"{name} is required."
    if error["type"] in ("enum", "literal_error"):
        expected = error.get("ctx", {}).get("expected", "")
        allowed = [value.strip("' ") for value in expected.replace(" or ", ", ").split(",")]
        refusal = f"{_given(given)} is not allowed{_meant(str(given), allowed)}"
        return f"{name}: {refusal} Allowed: {', '.join(allowed)}."
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}, not {_given(given)}."


def _meant(given: str, allowed: Iterable[str]) -> str:
    nearest = nearest_name(given, allowed)
    return "." if nearest is None else f"; did you mean {nearest!r}?"


def _given(given: object) -> str:
    return quoted(given) if isinstance(given, str) else clean_excerpt(repr(given), LONGEST_GIVEN).text


def _id(notification_id: str) -> str:
    """Encoded as in list_notifications, so that no id can contain a sentence."""
    begins = clean_excerpt(notification_id, LONGEST_GIVEN)
    return f"'{encode_id(begins.text)}'{'...' if begins.cut else ''}"


def _meant_id(nearest: str | None) -> str:
    return "." if nearest is None else f"; did you mean '{encode_id(nearest)}'?"


def _bounded(text: str) -> str:
    return clean_excerpt(text, LONGEST).text
