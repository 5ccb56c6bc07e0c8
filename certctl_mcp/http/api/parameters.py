"""Parameters of requests that FastAPI doesn't parse by itself."""

import re
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import StringConstraints

Empty = Literal[""]
"""A query parameter without a value counts as absent."""

Moment = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
"""ISO 8601 (UTC if no offset is given), or an age such as 7d."""

_WHOLE = re.compile(r"\+?[0-9]{1,18}", re.ASCII)


def whole_number(given: str, *, default: int, at_most: int | None = None) -> int:
    """`given` as a number from 1 to `at_most`; if it isn't one, `default`, as in certctl."""
    number = int(given) if _WHOLE.fullmatch(given) else 0
    return number if number >= 1 and (at_most is None or number <= at_most) else default


def decoded(encoded: str) -> str:
    """An id or a name. In the path it is still percent-encoded, because it may contain a slash."""
    return unquote(encoded, errors="replace")
