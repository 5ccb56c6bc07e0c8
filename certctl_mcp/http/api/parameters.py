"""Parameters of requests, beyond what FastAPI reads by itself."""

import re
from urllib.parse import unquote

_WHOLE = re.compile(r"\+?[0-9]{1,18}", re.ASCII)


def whole_number(given: str, *, default: int, at_most: int | None = None) -> int:
    """The number from 1 to `at_most` that `given` is; otherwise `default`, as in certctl."""
    number = int(given) if _WHOLE.fullmatch(given) else 0
    return number if number >= 1 and (at_most is None or number <= at_most) else default


def decoded(encoded: str) -> str:
    """An id or a name, which the path still holds percent-encoded because it may contain a slash."""
    return unquote(encoded, errors="replace")
