"""What did the remote end say? A short piece of its answer, on one line, fit for an error message."""

import re
from collections.abc import Iterable

from certctl_mcp.text.redaction import redact

_LIMIT = 500
_TAGS = re.compile(r"<[^<>]*>")


def excerpt(text: str, confidential: Iterable[str], limit: int = _LIMIT) -> str:
    """`text` on one line, at most `limit` characters, without the `confidential` texts and other secrets."""
    # Before the cut: half a secret would no longer be recognised.
    line = redact(single_line(text), confidential)
    return line if len(line) <= limit else f"{line[:limit].rstrip()}..."


def single_line(text: str) -> str:
    """`text` with every run of blanks and of characters that can't be printed made one space."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def without_markup(html: str) -> str:
    """The words of an HTML page, which is how proxies say that nobody is behind them."""
    return _TAGS.sub(" ", html)
