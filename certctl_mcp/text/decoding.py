"""The readings of a text: beneath URL, JSON and HTML encodings, and without invisible characters.

Programs that show a text decode some of this, so what must not be shown is searched for in every reading.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

HIDDEN = (
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, among them those that begin ANSI sequences
    "\xad\u034f\u061c\u180e\u200b-\u200f\u2060-\u206f\ufeff\ufff0-\ufffb"  # without width; bidirectional
    "\u2028-\u202e"  # line and paragraph separators; bidirectional
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters that look like nothing
    "\u180b-\u180d\u180f\ufe00-\ufe0f"  # variation selectors
    "\ud800-\udfff"  # halves of characters, which no encoder takes
    "\ue000-\uf8ff"  # what everybody may give a meaning to, ...
    "\ufdd0-\ufdef\ufffe\uffff"  # no characters at all
    "\U0001107f\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"  # tags, more variation selectors, and more of what everybody may
    "]"
)
"""A pattern for every character that hides or steers something; line ends and tabs do not."""

MAX_DEPTH = 3
"""Encodings within encodings that are looked through."""

_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Layer:
    """The text as it reads, and for each of its characters from where to where it stands in the original."""

    text: str
    begins: tuple[int, ...] | range
    ends: tuple[int, ...] | range

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """The part of the original that reads as the part from `begin` to `end`, which is not empty."""
        return self.begins[begin], self.ends[end - 1]


def decode_layers(text: str) -> Iterator[Layer]:
    """The text as it stands, and then as it reads when it is decoded once, twice and so on."""
    reading: Layer | None = Layer(text, range(len(text)), range(1, len(text) + 1))
    for _ in range(1 + MAX_DEPTH):
        if reading is None:
            return
        yield reading
        reading = _decoded(reading)


def _decoded(reading: Layer) -> Layer | None:
    """One encoding less; None if there is none."""
    pieces: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    done = 0
    for found in _encoded().finditer(reading.text):
        begin, end = found.span()
        plain = _plain(found)
        pieces += (reading.text[done:begin], plain)
        begins += reading.begins[done:begin]
        ends += reading.ends[done:begin]
        begins += [reading.begins[begin]] * len(plain)
        ends += [reading.ends[end - 1]] * len(plain)
        done = end
    if not pieces:
        return None
    begins += reading.begins[done:]
    ends += reading.ends[done:]
    return Layer("".join(pieces) + reading.text[done:], tuple(begins), tuple(ends))


@cache
def _encoded() -> re.Pattern[str]:
    return re.compile(
        r"(?P<url>%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])+)"
        r"|\\(?:u\{(?P<braced>[0-9A-Fa-f]{1,5}|10[0-9A-Fa-f]{4})\}"
        r"|u(?P<four>[0-9A-Fa-f]{4})|x(?P<two>[0-9A-Fa-f]{2})|(?P<one>[bfnrt\"'/\\]))"
        r"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
        rf"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|{HIDDEN}"
    )


def _plain(found: re.Match[str]) -> str:
    kind = found.lastgroup
    match kind:
        case None:
            return ""
        case "url":
            return bytes.fromhex(found["url"].replace("%", "")).decode("utf-8", "replace")
        case "html":
            return html.unescape(found["html"])
        case "one":
            return _ESCAPED.get(found["one"], found["one"])
        case _:
            return chr(int(found[kind], 16))
