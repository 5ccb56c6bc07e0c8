"""Errors in a request to the services, besides those that the storage raises."""

import re
from collections.abc import Sequence

from certctl_mcp.services.suggestions import nearest_name
from certctl_mcp.text.untrusted import clean_excerpt, encode_id

_PLAIN = re.compile(r"[A-Za-z0-9._@+-]{1,60}", re.ASCII)
"""Names from outside that are safe to quote in our own sentences, because they can't hold a sentence."""

LONGEST_GIVEN = 60
"""Characters of a given value that a message quotes."""


class RequestError(Exception):
    """A request that can't be met; nothing was changed. The message says what would be valid."""


class UnknownTypeError(RequestError):
    """No notification has this type, and it is not one of certctl's.

    The suggestion may also come from `in_use`, the types of notifications.
    """

    def __init__(self, type: str, known: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        meant = _meant(type, known, in_use)
        super().__init__(f"no notification has the type {quoted(type)}{meant} Known: {', '.join(known)}.")
        self.type = type
        self.known = tuple(known)


class UnknownChannelError(RequestError):
    """No channel of this name is configured.

    The suggestion may also come from `in_use`, the channels of notifications.
    """

    def __init__(self, channel: str, configured: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        message = f"no channel named {quoted(channel)} is configured"
        if not configured and not in_use:
            message += ", nor any other. Configure one first."
        else:
            message += f"{_meant(channel, configured, in_use)} Configured: {', '.join(configured) or 'none'}."
        super().__init__(message)
        self.channel = channel
        self.configured = tuple(configured)


class RecipientRefusedError(RequestError):
    """Mail to this recipient is not allowed by the channel's settings."""


class AmbiguousIdError(RequestError):
    """Several ids begin or end with what was given."""

    def __init__(self, given: str, candidates: Sequence[str]) -> None:
        listed = ", ".join(map(encode_id, candidates))
        super().__init__(f"{quoted(given)} is part of several ids: {listed}; give more of it")
        self.candidates = tuple(candidates)


class UnknownValueError(RequestError):
    """No notification has this recipient or certificate; one of `in_use` may have been meant."""

    def __init__(self, field: str, value: str, *, in_use: Sequence[str]) -> None:
        super().__init__(f"no notification has the {field} {quoted(value)}{_meant(value, (), in_use)}")
        self.field = field
        self.value = value


class DeliveriesOffError(RequestError):
    """This process delivers nothing; due notifications wait for another one."""

    def __init__(self) -> None:
        super().__init__(
            "this process does not deliver: its operator disabled it (CERTCTL_NOTIFICATION_DELIVER), or "
            "the database is read-only, or belongs to certctl, whose server delivers by default"
        )


def quoted(given: str) -> str:
    """The beginning of `given` without secrets, in quotes."""
    # Redacted before it is cut: half a secret would not be recognized.
    begins = clean_excerpt(given, LONGEST_GIVEN)
    return f"{begins.text!r}..." if begins.cut else repr(begins.text)


def _meant(given: str, ours: Sequence[str], in_use: Sequence[str]) -> str:
    """The end of a sentence about an unknown name, with a suggestion if there is one."""
    nearest = nearest_name(given, [*(name for name in in_use if _PLAIN.fullmatch(name)), *ours])
    return "." if nearest is None else f"; did you mean {nearest!r}?"
