"""What a request to the services can get wrong, beside what the storage refuses."""

import difflib
from collections.abc import Sequence


class RequestError(Exception):
    """A request that can't be met; nothing was changed. The message says what would be right."""


class UnknownTypeError(RequestError):
    """No notification has this type, and certctl knows none of that name."""

    def __init__(self, type: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no notification has the type {type!r}{_meant(type, known)} Known: {', '.join(known)}."
        )
        self.type = type
        self.known = tuple(known)


class UnknownChannelError(RequestError):
    """No destination is configured under this name."""

    def __init__(self, channel: str, configured: Sequence[str]) -> None:
        message = f"no channel named {channel!r} is configured"
        if not configured:
            message += "; none is. Configure one first."
        else:
            message += f"{_meant(channel, configured)} Configured: {', '.join(configured)}."
        super().__init__(message)
        self.channel = channel
        self.configured = tuple(configured)


def _meant(given: str, allowed: Sequence[str]) -> str:
    """The end of a sentence about a name that there is not."""
    nearest = difflib.get_close_matches(given.lower(), [name.lower() for name in allowed], n=1)
    meant = next((name for name in allowed if name.lower() in nearest), None)
    return "." if meant is None else f"; did you mean {meant!r}?"
