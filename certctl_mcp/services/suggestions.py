"""Suggestions for a name or id that does not exist: the nearest one, for a typo or an abbreviation."""

import difflib
from collections.abc import Iterable, Sequence

LONGEST = 300
"""The most characters; anything longer is not a typo."""

_LIKE_ID = 0.85
"""The minimum similarity for ids; different ids created at about the same time are less similar."""

_SHORTEST_BEGINNING = 8
_SHORTEST_PART = 4


def nearest_name(given: str, names: Iterable[str]) -> str | None:
    """The name of which `given` is a typo, or the shortest that contains it, ignoring case."""
    if len(given) > LONGEST:
        return None
    wanted, by_lower = given.strip().lower(), {name.lower(): name for name in names}
    found = difflib.get_close_matches(wanted, by_lower, n=1)
    if not found and len(wanted) >= _SHORTEST_PART:
        found = sorted((name for name in by_lower if wanted in name), key=len)
    return by_lower[found[0]] if found else None


def nearest_id(given: str, ids: Sequence[str]) -> str | None:
    """The id of which `given` is a typo, or the only one that begins with it."""
    if len(given) > LONGEST:
        return None
    begun = [each for each in ids if each.startswith(given)] if len(given) >= _SHORTEST_BEGINNING else []
    if len(begun) == 1:
        return begun[0]
    found = difflib.get_close_matches(given, ids, n=1, cutoff=_LIKE_ID)
    return found[0] if found else None
