"""Untrusted text as an assistant sees it: without secrets, bounded, with nothing invisible.

Text from other programs, remote ends or people is a JSON string in an object under the key `untrusted`. The
encoder escapes quotes, so no content can end its string and continue outside the object.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from certctl_mcp.text.decoding import HIDDEN
from certctl_mcp.text.redaction import redact

EXCERPT_LENGTH = 160
"""Characters of a long text that a list shows."""

NAME_LENGTH = 255
"""Characters of a name: a type, a channel, a recipient. The columns are declared as wide."""

MAX_ID_LENGTH = 200
"""Characters of an id before encoding; a longer one, which this program never makes, is shown cut."""

_LOOK_AHEAD = 1024
"""A secret that begins within the bound is recognised by what follows it."""

_OUR_ID = re.compile(r"notif-[0-9a-f-]{1,60}")
_PLAIN_ID = re.compile(r"[A-Za-z0-9._~:@+-]*")

_HIDDEN = re.compile(HIDDEN)


class Excerpt(NamedTuple):
    """A text from outside, fit to be shown."""

    text: str
    cut: int
    """How many characters were left out at its end."""


def clean_excerpt(text: str, limit: int) -> Excerpt:
    """At most `limit` characters of `text` without its secrets, every hidden character as `\\u{202e}`."""
    window = text[: limit + _LOOK_AHEAD]
    prepare = _remembered if limit <= NAME_LENGTH else _prepared
    return Excerpt(prepare(window, limit), max(0, len(text) - limit))


def clean_name(text: str) -> str:
    """A name from outside."""
    return _remembered(text[: NAME_LENGTH + _LOOK_AHEAD], NAME_LENGTH)


def escape_hidden(text: str) -> str:
    """Every character that hides or steers something, written out; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def encode_id(notification_id: str) -> str:
    """An id, percent-encoded, so that one from elsewhere can hold no sentence. `decode_id` reads it.

    One that holds a secret is shown without it, and can't be given back.
    """
    if _OUR_ID.fullmatch(notification_id):
        return notification_id
    encoded = _encoded(redact(notification_id[: MAX_ID_LENGTH + _LOOK_AHEAD])[:MAX_ID_LENGTH])
    return f"{encoded}...cut" if len(notification_id) > MAX_ID_LENGTH else encoded


def decode_id(given: str) -> str:
    """The id that `encode_id` wrote."""
    return unquote(given)


def _encoded(text: str) -> str:
    return text if _PLAIN_ID.fullmatch(text) else quote(text, safe=":@+", errors="replace")


def _prepared(window: str, limit: int) -> str:
    # Escaping comes last: what is decoded or cut afterwards could bring back what it hid.
    return escape_hidden(redact(window)[:limit])


# Lists repeat: the same alerts, the same few errors. Recognising secrets costs more than all else in a row.
_remembered = lru_cache(maxsize=2048)(_prepared)
