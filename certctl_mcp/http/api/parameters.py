"""Query parameters that certctl reads leniently: what it can't use counts as not given."""

import re

_WHOLE = re.compile(r"\+?[0-9]{1,18}", re.ASCII)


def whole_number(given: str, *, default: int, at_most: int | None = None) -> int:
    """The number from 1 to `at_most` that `given` is; otherwise `default`."""
    number = int(given) if _WHOLE.fullmatch(given) else 0
    return number if number >= 1 and (at_most is None or number <= at_most) else default
