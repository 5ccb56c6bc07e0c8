"""Parameters of requests, beyond what FastAPI reads by itself."""

import re
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import StringConstraints

Empty = Literal[""]
"""A query parameter without a value counts as absent."""

Moment = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
"""ISO 8601 (UTC where no offset is given), or an age such as 7d."""

_WHOLE = re.compile(r"\+?[0-9]{1,18}", re.ASCII)


def whole_number(given: str, *, default: int, at_most: int | None = None) -> int:
    """The number from 1 to `at_most` that `given` is; otherwise `default`, as in certctl."""
    number = int(given) if _WHOLE.fullmatch(given) else 0
    return number if number >= 1 and (at_most is None or number <= at_most) else default


def decoded(encoded: str) -> str:
    """An id or a name, which the path still holds percent-encoded because it may contain a slash."""
    return unquote(encoded, errors="replace")
