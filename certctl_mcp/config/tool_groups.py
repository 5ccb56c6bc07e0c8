"""Groups of tools, from which the operator picks what an assistant may do, and read-only mode."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum


class ToolGroup(StrEnum):
    """Tools that are served together. Only the tools of `triage` change nothing."""

    TRIAGE = "triage"
    SEND = "send"
    REQUEUE = "requeue"
    SETTLE = "settle"
    PURGE = "purge"


def parse_groups(text: str) -> tuple[ToolGroup, ...]:
    """Comma-separated names of groups.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"names no group of tools; there are {', '.join(ToolGroup)}")
    for name in names:
        if name not in set(ToolGroup):
            nearest = get_close_matches(name, list(ToolGroup), n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else "."
            raise ValueError(f"there is no group of tools {name!r}{meant} There are {', '.join(ToolGroup)}")
    return tuple(group for group in ToolGroup if group in names)


def served_groups(groups: Sequence[ToolGroup], *, read_only: bool) -> frozenset[ToolGroup]:
    """The groups that are served. Raises: ValueError: there is none."""
    served = frozenset(groups) & {ToolGroup.TRIAGE} if read_only else frozenset(groups)
    if not served:
        raise ValueError(f"a read-only server serves only {ToolGroup.TRIAGE}, which is not selected")
    return served
