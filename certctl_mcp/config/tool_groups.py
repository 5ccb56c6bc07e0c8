"""The tools that an assistant is offered: groups or single tools, some excluded, or only those for reading.

Tools that delete permanently are offered only if the operator names them.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum


class ToolGroup(StrEnum):
    """Tools that belong together. Only those of `triage` change nothing."""

    TRIAGE = "triage"
    SEND = "send"
    REQUEUE = "requeue"
    SETTLE = "settle"
    CHANNELS = "channels"
    PURGE = "purge"


TOOLS: Mapping[ToolGroup, tuple[str, ...]] = {
    ToolGroup.TRIAGE: (
        "list_notifications",
        "get_notification",
        "delivery_report",
        "diagnose_dead_letters",
        "dashboard_summary",
        "list_channels",
        "check_setup",
        "audit_log",
    ),
    ToolGroup.SEND: ("send_notification", "send_test_notification"),
    ToolGroup.REQUEUE: ("requeue_notification", "requeue_notifications", "retry_due_notifications"),
    ToolGroup.SETTLE: ("mark_notification_read", "mark_notifications_read"),
    ToolGroup.CHANNELS: ("pause_channel", "resume_channel"),
    ToolGroup.PURGE: ("purge_notifications",),
}
"""The tools of each group. The first one represents its group."""

DEFAULT_TOOLS = tuple(
    name for group, names in TOOLS.items() if group is not ToolGroup.PURGE for name in names
)

_ALL_TOOLS = tuple(name for names in TOOLS.values() for name in names)


def parse_tools(text: str) -> tuple[str, ...]:
    """The tools that `text` names, by group or one by one, with commas between the names.

    Raises:
        ValueError: there is no such group or tool, or none is named.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    choices = f"the groups are {', '.join(ToolGroup)}; a single tool is named as the server lists it"
    if not names:
        raise ValueError(f"names no group of tools and no tool; {choices}")
    for name in names:
        if name not in set(ToolGroup) and name not in _ALL_TOOLS:
            nearest = get_close_matches(name, [*ToolGroup, *_ALL_TOOLS], n=1)
            suggestion = f"; did you mean {nearest[0]}? Otherwise" if nearest else ":"
            raise ValueError(f"there is no group of tools and no tool {name!r}{suggestion} {choices}")
    picked = {
        tool for name in names for tool in (TOOLS[ToolGroup(name)] if name in set(ToolGroup) else (name,))
    }
    return tuple(tool for tool in _ALL_TOOLS if tool in picked)


def served_tools(tools: Sequence[str], exclude: Sequence[str], *, read_only: bool) -> frozenset[str]:
    """The tools that are served. Raises: ValueError: none is."""
    served = frozenset(tools) - frozenset(exclude)
    if not served:
        raise ValueError("every tool is excluded; leave at least one")
    if read_only:
        served &= frozenset(TOOLS[ToolGroup.TRIAGE])
    if not served:
        raise ValueError(f"a read-only server serves tools of the group {ToolGroup.TRIAGE} only; pick one")
    return served


def groups_of(tools: frozenset[str]) -> frozenset[ToolGroup]:
    """The groups whose main tool is among `tools`."""
    return frozenset(group for group, names in TOOLS.items() if names[0] in tools)
