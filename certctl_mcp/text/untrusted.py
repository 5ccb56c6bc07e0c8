"""Untrusted text made safe to show: redacted, cut to a length, with hidden characters escaped.

Tool results put it into an object under the key `untrusted`, as JSON strings. The encoder escapes quotes, so
the text can't end its string and pose as something else.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from certctl_mcp.text.decoding import HIDDEN
from certctl_mcp.text.redaction import LOOK_AHEAD, redact_beginning

EXCERPT_LENGTH = 160
"""The most characters of a long text in a list."""

NAME_LENGTH = 255
"""The most characters of a name, such as a type, channel or recipient: the width of the columns."""

MAX_ID_LENGTH = 200
"""The most characters of an id before encoding. Longer ids, which this program never creates, are cut."""

_OUR_ID = re.compile(r"notif-[0-9a-f-]{1,60}")
_PLAIN_ID = re.compile(r"[A-Za-z0-9._~:@+-]*")

_HIDDEN = re.compile(HIDDEN)


class Excerpt(NamedTuple):
    """Untrusted text that is safe to show."""

    text: str
    cut: int
    """Number of characters cut from its end."""


def clean_excerpt(text: str, limit: int) -> Excerpt:
    """At most `limit` characters of `text`, redacted, with hidden characters written as `\\u{202e}`."""
    window = text[: limit + LOOK_AHEAD]
    prepare = _cached if limit <= NAME_LENGTH else _prepared
    return Excerpt(prepare(window, limit), max(0, len(text) - limit))


def clean_name(text: str) -> str:
    """An untrusted name, as `clean_excerpt` would show it."""
    return _cached(text[: NAME_LENGTH + LOOK_AHEAD], NAME_LENGTH)


def escape_hidden(text: str) -> str:
    """Write hidden and control characters as `\\u{202e}`, except newlines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def encode_id(notification_id: str) -> str:
    """Percent-encode an id, so that an id of another program can't contain a sentence. `decode_id` reverses
    it.

    An id that contains a secret is redacted, so that it can't be decoded.
    """
    if _OUR_ID.fullmatch(notification_id):
        return notification_id
    encoded = _encoded(redact_beginning(notification_id, MAX_ID_LENGTH)[:MAX_ID_LENGTH])
    return f"{encoded}...cut" if len(notification_id) > MAX_ID_LENGTH else encoded


def decode_id(given: str) -> str:
    """The id that `encode_id` encoded."""
    return unquote(given)


def _encoded(text: str) -> str:
    return text if _PLAIN_ID.fullmatch(text) else quote(text, safe=":@+", errors="replace")


def _prepared(window: str, limit: int) -> str:
    # Escaping comes last: decoding or cutting afterwards could undo it.
    return escape_hidden(redact_beginning(window, limit)[:limit])


# Lists repeat the same alerts and the same few errors.
_cached = lru_cache(maxsize=2048)(_prepared)
