"""What a request to the services can get wrong, beside what the storage refuses."""

import re
from collections.abc import Sequence

from certctl_mcp.services.suggestions import nearest_name
from certctl_mcp.text.untrusted import clean_excerpt

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
"""Names from outside of which one may stand in a sentence of ours: they hold no sentence of their own."""

LONGEST_GIVEN = 60
"""Characters of what was given that a message repeats."""


class RequestError(Exception):
    """A request that can't be met; nothing was changed. The message says what would be right."""


class UnknownTypeError(RequestError):
    """No notification has this type, and certctl knows none of that name.

    One of `in_use` may be offered as what was meant.
    """

    def __init__(self, type: str, known: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        meant = _meant(type, known, in_use)
        super().__init__(f"no notification has the type {quoted(type)}{meant} Known: {', '.join(known)}.")
        self.type = type
        self.known = tuple(known)


class UnknownChannelError(RequestError):
    """No destination is configured under this name.

    One of `in_use`, the channels of notifications, may be offered as what was meant.
    """

    def __init__(self, channel: str, configured: Sequence[str], *, in_use: Sequence[str] = ()) -> None:
        message = f"no channel named {quoted(channel)} is configured"
        if not configured and not in_use:
            message += "; none is. Configure one first."
        else:
            message += f"{_meant(channel, configured, in_use)} Configured: {', '.join(configured) or 'none'}."
        super().__init__(message)
        self.channel = channel
        self.configured = tuple(configured)


class DeliveriesOffError(RequestError):
    """This process attempts no deliveries; what is due waits for another."""

    def __init__(self) -> None:
        super().__init__(
            "this process attempts no deliveries: its operator set it so (CERTCTL_NOTIFICATION_DELIVER), or "
            "the database may only be read, or is certctl's own, whose server delivers unless told otherwise"
        )


def quoted(given: str) -> str:
    """The beginning of what was given, with no secret in it, as a message repeats it."""
    # Before the cut: half a secret would no longer be recognised.
    begins = clean_excerpt(given, LONGEST_GIVEN)
    return f"{begins.text!r}..." if begins.cut else repr(begins.text)


def _meant(given: str, ours: Sequence[str], in_use: Sequence[str]) -> str:
    """The end of a sentence about a name that there is not."""
    nearest = nearest_name(given, [*(name for name in in_use if _PLAIN.fullmatch(name)), *ours])
    return "." if nearest is None else f"; did you mean {nearest!r}?"
