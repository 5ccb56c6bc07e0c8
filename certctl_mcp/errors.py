"""What a request to the services can get wrong, beside what the storage refuses."""

import difflib
from collections.abc import Sequence


class RequestError(Exception):
    """A request that can't be met; nothing was changed. The message says what would be right."""


class UnknownChannelError(RequestError):
    """No destination is configured under this name."""

    def __init__(self, channel: str, configured: Sequence[str]) -> None:
        nearest = difflib.get_close_matches(channel.lower(), [name.lower() for name in configured], n=1)
        meant = next((name for name in configured if name.lower() in nearest), None)
        message = f"no channel named {channel!r} is configured"
        if not configured:
            message += "; none is. Configure one first."
        else:
            message += f"; did you mean {meant!r}?" if meant is not None else "."
            message += f" Configured: {', '.join(configured)}."
        super().__init__(message)
        self.channel = channel
        self.configured = tuple(configured)
