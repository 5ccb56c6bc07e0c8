"""Decoding of URL, JSON and HTML encodings and hidden characters, layer by layer.

A program that displays a text may decode it, so secrets are searched for in every layer.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

HIDDEN = (
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, among them those that begin ANSI sequences
    "\xad\u034f\u061c\u180e\u200b-\u200f\u2060-\u206f\ufeff\ufff0-\ufffb"  # zero width; bidirectional
    "\u2028-\u202e"  # line and paragraph separators; bidirectional
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters that look blank
    "\u180b-\u180d\u180f\ufe00-\ufe0f"  # variation selectors
    "\ud800-\udfff"  # surrogates, which can't be encoded
    "\ue000-\uf8ff"  # private use
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters
    "\U0001107f\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"  # tags, more variation selectors, private use
    "]"
)
"""Matches every hidden or control character except newline and tab."""

MAX_DEPTH = 3
"""How many levels of nested encodings are decoded."""

_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A decoded text, and where each of its characters begins and ends in the original."""

    text: str
    begins: tuple[int, ...] | range
    ends: tuple[int, ...] | range

    def original(self, begin: int, end: int) -> tuple[int, int]:
        """The span in the original of the nonempty span from `begin` to `end`."""
        return self.begins[begin], self.ends[end - 1]


def decode_layers(text: str) -> Iterator[Layer]:
    """The text itself, then the text decoded once, twice and so on."""
    layer: Layer | None = Layer(text, range(len(text)), range(1, len(text) + 1))
    for _ in range(1 + MAX_DEPTH):
        if layer is None:
            return
        yield layer
        layer = _decoded(layer)


def _decoded(layer: Layer) -> Layer | None:
    """The text decoded once more; None if nothing is encoded."""
    if not _suspicious().search(layer.text):
        return None
    pieces: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    done = 0
    for found in _encoded().finditer(layer.text):
        begin, end = found.span()
        plain = _plain(found)
        pieces += (layer.text[done:begin], plain)
        begins += layer.begins[done:begin]
        ends += layer.ends[done:begin]
        begins += [layer.begins[begin]] * len(plain)
        ends += [layer.ends[end - 1]] * len(plain)
        done = end
    if not pieces:
        return None
    begins += layer.begins[done:]
    ends += layer.ends[done:]
    return Layer("".join(pieces) + layer.text[done:], tuple(begins), tuple(ends))


@cache
def _suspicious() -> re.Pattern[str]:
    """Characters of which every encoding contains one. Most texts have none of them and need no slower
    check."""
    return re.compile(rf"[%\\&]|{HIDDEN}")


@cache
def _encoded() -> re.Pattern[str]:
    return re.compile(
        r"(?P<url>%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f])+)"
        r"|\\(?:u\{(?P<braced>[0-9A-Fa-f]{1,5}|10[0-9A-Fa-f]{4})\}"
        r"|u(?P<four>[0-9A-Fa-f]{4})|x(?P<two>[0-9A-Fa-f]{2})|(?P<one>[bfnrt\"'/\\]))"
        r"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
        rf"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]|{HIDDEN}"
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
