"""Truncates a message so that the finished body fits a provider's limit, however it is encoded."""

from collections.abc import Callable
from typing import TypeVar

from certctl_mcp.text.redaction import truncate

Body = TypeVar("Body")


def fit(text: str, write: Callable[[str], Body], size: Callable[[Body], int], limit: int) -> Body:
    """The body that `write` makes of `text`, or of as much of its beginning as keeps the body's `size` within
    `limit`.

    A truncated text ends with the amount that is missing. Encoding never makes a text smaller, so the search
    begins with at most `limit` bytes.
    """
    body = write(text if len(text) <= limit else truncate(text, limit))
    if size(body) <= limit and len(text) <= limit:
        return body
    shortest, longest = 0, limit
    best = write(truncate(text, 0))
    while shortest < longest:
        length = (shortest + longest + 1) // 2
        body = write(truncate(text, length))
        if size(body) <= limit:
            best, shortest = body, length
        else:
            longest = length - 1
    return best
