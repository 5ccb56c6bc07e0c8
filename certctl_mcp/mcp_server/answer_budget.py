"""Keeps every result within a token budget, whatever texts it contains.

The number of characters is a poor measure: a text of invisible characters, emoji or base64 costs many times
the tokens of prose of the same length, and the sender of an alert chooses its text. The number of tokens is
overestimated, without a tokenizer because every model has its own. It counts everything that is sent: the
structured content, and the same content as text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

from pydantic_core import to_json

from certctl_mcp.text.untrusted import escape_hidden

MAX_TOKENS = 8_000
"""The limit of an answer. Many hosts cut or refuse answers of more than 25,000."""

BUDGET = 7_500
"""The limit for the estimate, which contrived words can exceed a little."""

MIN_TEXT_TOKENS = 24
"""Texts are not cut shorter than this; if that isn't enough, the end of the longest list is left out."""

_ROW_TEXT_TOKENS = 60
"""The tokens that a text in a list may always take, so that a page gets shorter before its rows become
indistinguishable."""

_KNOWN_STRUCTURE = 0.65
"""The highest ratio of real cost to estimate for JSON with our own keys, ids and times."""

_PAGE_OVERHEAD = 300
"""Tokens for what a page contains besides its rows."""

CUT = " ...[cut]"
"""The end of a text that was cut to fit."""

_ORDINARY_WORD = 6
"""The most letters of a word that is likely to be a single token."""

_JSON_PUNCTUATION = frozenset('{}[]:,"\\')

_RARE_LETTER = re.compile(r"[jqxz]")
_VOWEL = re.compile(r"[aeiouy]")

_NEWEST_LAST = frozenset({"attempts", "done"})
"""Lists of which the beginning is left out instead of the end."""

_CHUNK = 256
_PIECE = re.compile(
    r"[a-z]{1,64}|[A-Z]{1,64}|[0-9]{1,64}| {1,64}|[{}\[\]:,\"\\]{1,64}|[^\x00-\x7f]{1,64}|.", re.DOTALL
)
"""A piece of a text; short, so that its tokens can be cached."""

_CACHED_PIECES = 4096

Content = dict[str, object]
Row = TypeVar("Row", bound=Mapping[str, object])
_Path = tuple[str | int, ...]


def estimated_tokens(text: str) -> float:
    """At least as many tokens as a current tokenizer makes of `text`, except for contrived words.

    Prose takes about half of the estimate; random letters, digits, base64, emoji and escapes most of it.
    """
    return sum(map(_piece_tokens, _PIECE.findall(text)))


@lru_cache(_CACHED_PIECES)
def _piece_tokens(piece: str) -> float:
    """Cached: words, spaces and punctuation recur, and a lookup is several times faster."""
    first, length = piece[0], len(piece)
    if not first.isascii():
        # A byte-level tokenizer makes at most one token of a byte.
        return len(piece.encode("utf-8", "surrogatepass"))
    if first.islower():
        return _word_tokens(piece)
    if first.isupper():
        return max(1.0, 0.8 * length)
    if first.isdigit():
        return max(1.0, 0.6 * length)
    if first == " ":
        return 0.1 if length == 1 else 1 + length / 64
    if first in _JSON_PUNCTUATION:
        return max(1.0, 0.62 * length)
    return 1.0


def _word_tokens(word: str) -> float:
    """Words of ordinary letters are mostly one token; random letters can be one token each."""
    if len(word) > _ORDINARY_WORD:
        return 0.6 * len(word)
    is_ordinary = _RARE_LETTER.search(word) is None and _VOWEL.search(word) is not None
    return 1 + 0.2 * len(word) if is_ordinary else max(1.0, 0.9 * len(word))


_PUNCTUATION = 0.62
"""The tokens of a character of JSON's punctuation, next to another one."""

_ENCLOSED = 2 * _PUNCTUATION
"""The quotes around all of an answer's JSON as a text."""

_QUOTED = (2 + 4) * _PUNCTUATION
"""The quotes around a string in an answer; in its JSON text they are escaped."""

_QUOTES = 2 + (3 + 3) * _PUNCTUATION
"""The quotes around a string that stands by itself."""

_LONGEST_CACHED = 400
"""Characters of a string whose cost is cached: ids, names, excerpts."""


def cost(value: object) -> float:
    """The tokens of `value` as structured content and once more as a JSON text."""
    return _text_cost(value) if isinstance(value, str) else _Measure(value).total


def _text_cost(text: str) -> float:
    """The cost of a string by itself."""
    return _inside_quotes(text) + _QUOTES


class _Measure:
    """The cost of an object or a list, and of the untrusted texts in it, found in one pass."""

    def __init__(self, content: object) -> None:
        self.texts: list[float] = []
        """The cost of each untrusted text, in order."""
        self._encoded_ids = False
        self.total = _ENCLOSED + self._add(content, untrusted=False)

    @property
    def structure(self) -> float:
        """The cost without the untrusted texts.

        Keys, times and ids of our own are known to cost less than the estimate. Encoded ids from elsewhere
        are not.
        """
        structure = self.total - sum(self.texts)
        return structure if self._encoded_ids else structure * _KNOWN_STRUCTURE

    def _add(self, value: object, *, untrusted: bool) -> float:
        if isinstance(value, str):
            inside = _inside_quotes(value)
            if untrusted:
                self.texts.append(inside + _QUOTES)
            if "%" in value:
                self._encoded_ids = True
            return inside + _QUOTED
        if isinstance(value, dict):
            total = _keys_cost(tuple(value))
            for key, item in value.items():
                total += self._add(item, untrusted=untrusted or key == "untrusted")
            return total
        if isinstance(value, list | tuple):
            total = 2 * _PUNCTUATION * (1 + max(1, len(value)))
            for item in value:
                total += self._add(item, untrusted=untrusted)
            return total
        return _scalar_cost(value)


@lru_cache(256)
def _keys_cost(keys: tuple[str, ...]) -> float:
    """The cost of an object without its values."""
    braces = 4 * _PUNCTUATION
    separators = 2 * _PUNCTUATION * max(0, 2 * len(keys) - 1)
    return braces + separators + sum(_inside_quotes(key) + _QUOTED for key in keys)


@lru_cache(256, typed=True)
def _scalar_cost(value: object) -> float:
    """The cost of a number, true, false or null."""
    return 2 * estimated_tokens(to_json(value).decode())


def _inside_quotes(text: str) -> float:
    """The cost of a string in an answer, without its quotes."""
    return (_cached_inside if len(text) <= _LONGEST_CACHED else _measured_inside)(text)


def _measured_inside(text: str) -> float:
    once = to_json(text).decode()[1:-1]
    if "\\" not in once:
        return 2 * _between_quotes(once)
    return _between_quotes(once) + _between_quotes(to_json(once).decode()[1:-1])


# Lists repeat names, and the same page is listed again.
_cached_inside = lru_cache(2048)(_measured_inside)


def _between_quotes(text: str) -> float:
    """Punctuation at the ends of `text` counts as next to the quotes."""
    return estimated_tokens(f'""{text}""') - 4 * _PUNCTUATION


def fitted(content: Mapping[str, object], budget: float = BUDGET) -> Content:
    """`content` with its untrusted texts and, if need be, its longest list cut so that it fits.

    Texts are cut to a common limit, so that short ones stay whole next to a huge one.
    """
    whole = dict(content)
    measure = _Measure(whole)
    if measure.structure + sum(measure.texts) <= budget:
        return whole
    least = measure.structure + MIN_TEXT_TOKENS * len(measure.texts)
    while least > budget and (shorter := _shortened(whole)) is not None:
        whole, measure = shorter, _Measure(shorter)
        least = measure.structure + MIN_TEXT_TOKENS * len(measure.texts)
    limit = max(float(MIN_TEXT_TOKENS), _common_limit(measure.texts, budget - measure.structure))
    texts = _untrusted_texts(whole, ())
    cut = {path: clipped(text, limit) for path, text in texts if _text_cost(text) > limit}
    return _rebuilt(whole, cut) if cut else whole


def rows_within(rows: Iterable[Row], budget: float = BUDGET) -> list[Row]:
    """The first rows that fit, and at least one, if their texts are cut to what distinguishes them.

    Of the others only the first is taken from `rows`.
    """
    left = budget - _PAGE_OVERHEAD
    fitting: list[Row] = []
    for row in rows:
        measure = _Measure(row)
        left -= measure.structure + sum(min(each, _ROW_TEXT_TOKENS) for each in measure.texts)
        if left < 0 and fitting:
            break
        fitting.append(row)
    return fitting


def clipped(text: str, limit: float) -> str:
    """The beginning of `text` that costs at most `limit`, with a mark if something was cut."""
    if cost(text) <= limit:
        return text
    return text[: _length_within(text, limit - cost(CUT))] + CUT


class TextPage(NamedTuple):
    """A part of a long text, with hidden characters written out."""

    text: str
    end: int
    """The offset of the next part, in characters of the whole text."""


def text_page(text: str, begin: int, *, limit: float, longest: int) -> TextPage:
    """As much of `text` from `begin` on as costs at most `limit`, and at most `longest` characters."""
    window = text[begin : begin + longest]
    used = 0.0
    for start in range(0, len(window), _CHUNK):
        chunk = window[start : start + _CHUNK]
        used += cost(escape_hidden(chunk))
        if used > limit:
            room = limit - used + cost(escape_hidden(chunk))
            end = start + max(0 if start else 1, _length_within(chunk, room, escaped=True))
            return TextPage(escape_hidden(window[:end]), begin + end)
    return TextPage(escape_hidden(window), begin + len(window))


def _length_within(text: str, limit: float, *, escaped: bool = False) -> int:
    """The most characters of `text` whose cost is within `limit`."""
    shortest, longest = 0, len(text)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        part = text[:middle]
        if cost(escape_hidden(part) if escaped else part) <= limit:
            shortest = middle
        else:
            longest = middle - 1
    return shortest


def _common_limit(costs: list[float], budget: float) -> float:
    """The limit for each at which all together are within `budget`."""
    left = budget
    for number, each in enumerate(sorted(costs)):
        share = left / (len(costs) - number)
        if each > share:
            return share
        left -= each
    return max(costs, default=0.0)


def _untrusted_texts(value: object, path: _Path, *, inside: bool = False) -> Iterator[tuple[_Path, str]]:
    match value:
        case str():
            if inside:
                yield path, value
        case Mapping():
            for key, item in value.items():
                yield from _untrusted_texts(item, (*path, key), inside=inside or key == "untrusted")
        case list() | tuple():
            for number, item in enumerate(value):
                yield from _untrusted_texts(item, (*path, number), inside=inside)


def _shortened(content: Content) -> Content | None:
    """`content` without a tenth of its longest list, the least important; None if nothing can be left out."""
    lists = {key: value for key, value in content.items() if isinstance(value, list) and len(value) > 1}
    if not lists:
        return None
    longest = max(lists, key=lambda key: len(lists[key]))
    rows = lists[longest]
    dropped = max(1, len(rows) // 10)
    kept = rows[dropped:] if longest in _NEWEST_LAST else rows[:-dropped]
    left_out = content.get("left_out_to_fit", 0)
    assert isinstance(left_out, int)
    return {**content, longest: kept, "left_out_to_fit": left_out + len(rows) - len(kept)}


def _rebuilt(content: Content, replaced: Mapping[_Path, str]) -> Content:
    def rebuild(value: object, path: _Path) -> object:
        if path in replaced:
            return replaced[path]
        match value:
            case Mapping():
                return {key: rebuild(item, (*path, key)) for key, item in value.items()}
            case list() | tuple():
                return [rebuild(item, (*path, number)) for number, item in enumerate(value)]
            case _:
                return value

    rebuilt = rebuild(content, ())
    assert isinstance(rebuilt, dict)
    return rebuilt
