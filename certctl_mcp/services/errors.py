"""Errors in a request to the services, in addition to those of storage."""

from collections.abc import Sequence

from certctl_mcp.services.limitations import LIMITATION_TEXTS, Limitation
from certctl_mcp.services.suggestions import nearest_name
from certctl_mcp.text.untrusted import clean_excerpt, clean_name, encode_id

LONGEST_GIVEN = 60
"""The most characters of a given value that a message quotes."""


class RequestError(Exception):
    """A request that can't be met; nothing was changed. The message says what would be valid."""

    similar: str | None = None
    """The name that may have been meant, if it comes from outside. Such a name is not part of the message."""


class _UnknownNameError(RequestError):
    """An unknown name. The nearest one is suggested: in the message if it is one of `ours`, otherwise
    separately."""

    def __init__(
        self, problem: str, given: str, ours: Sequence[str], in_use: Sequence[str], known: str = ""
    ) -> None:
        nearest = nearest_name(given, [*in_use, *ours])
        meant = f"; did you mean {nearest!r}?" if nearest in ours else "."
        super().__init__(f"{problem}{meant}{known}")
        self.similar = None if nearest is None or nearest in ours else clean_name(nearest)


class UnknownTypeError(_UnknownNameError):
    """No notification has this type, and it is not one of certctl's."""

    def __init__(self, type: str, known: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        problem, listed = f"no notification has the type {quoted(type)}", f" Known: {', '.join(known)}."
        super().__init__(problem, type, known, in_use, listed)
        self.type = type
        self.known = tuple(known)


class UnknownChannelError(_UnknownNameError):
    """No channel of this name is configured."""

    def __init__(self, channel: str, configured: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        problem = f"no channel named {quoted(channel)} is configured"
        if not configured:
            problem += ", nor any other"
        listed = f" Configured: {', '.join(configured)}." if configured else " Configure one first."
        super().__init__(problem, channel, configured, in_use, listed)
        self.channel = channel
        self.configured = tuple(configured)


class RecipientRefusedError(RequestError):
    """Mail to this recipient is not allowed by the channel's settings."""


class AmbiguousIdError(RequestError):
    """Several ids begin or end with the given text."""

    def __init__(self, given: str, candidates: Sequence[str]) -> None:
        listed = ", ".join(map(encode_id, candidates))
        super().__init__(f"{quoted(given)} matches several ids: {listed}; give more characters")
        self.candidates = tuple(candidates)


class UnknownValueError(_UnknownNameError):
    """No notification has this recipient or certificate."""

    def __init__(self, field: str, value: str, *, in_use: Sequence[str]) -> None:
        super().__init__(f"no notification has the {field} {quoted(value)}", value, (), in_use)
        self.field = field
        self.value = value


class DeliveriesOffError(RequestError):
    """This process delivers nothing; due notifications wait for another one."""

    def __init__(self, limitation: Limitation) -> None:
        super().__init__(f"this process does not deliver; unavailable: {LIMITATION_TEXTS[limitation]}")


def quoted(given: str) -> str:
    """The beginning of `given` without secrets, in quotes."""
    # Redacted before truncation, because half a secret would not be recognized.
    begins = clean_excerpt(given, LONGEST_GIVEN)
    return f"{begins.text!r}..." if begins.cut else repr(begins.text)


def message_with_suggestion(failure: Exception) -> str:
    """The message of an error, with the name that may have been meant."""
    similar = failure.similar if isinstance(failure, RequestError) else None
    return str(failure) if similar is None else f"{failure} Did you mean {similar!r}?"
