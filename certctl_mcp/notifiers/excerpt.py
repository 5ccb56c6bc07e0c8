"""A short excerpt of a receiver's response, on one line, for an error message."""

import re
from collections.abc import Iterable

from certctl_mcp.text.redaction import redact

_LIMIT = 500
_TAGS = re.compile(r"<[^<>]*>")


def excerpt(text: str, confidential: Iterable[str], limit: int = _LIMIT) -> str:
    """`text` on one line, at most `limit` characters, without the `confidential` texts and other secrets."""
    # Redacted before truncation, because half a secret would not be recognised.
    line = redact(single_line(text), confidential)
    return line if len(line) <= limit else f"{line[:limit].rstrip()}..."


def single_line(text: str) -> str:
    """`text` with every run of white space and unprintable characters replaced by one space."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


def without_markup(html: str) -> str:
    """The words of an HTML page, with which proxies report a missing backend."""
    return _TAGS.sub(" ", html)
