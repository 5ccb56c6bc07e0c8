"""The catalog of tools: their groups, and what a client knows of each before it calls."""

from collections.abc import Awaitable, Callable, Collection
from functools import cache

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations

from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.mcp_server.tools.bulk import (
    mark_notifications_read,
    purge_notifications,
    requeue_notifications,
)
from certctl_mcp.mcp_server.tools.delivery_report import delivery_report
from certctl_mcp.mcp_server.tools.details import get_notification
from certctl_mcp.mcp_server.tools.diagnosis import diagnose_dead_letters
from certctl_mcp.mcp_server.tools.listing import list_notifications
from certctl_mcp.mcp_server.tools.overview import dashboard_summary, list_channels
from certctl_mcp.mcp_server.tools.schemas import arguments_schema, lean
from certctl_mcp.mcp_server.tools.single import (
    mark_notification_read,
    requeue_notification,
    retry_due_notifications,
    send_notification,
    send_test_notification,
)
from certctl_mcp.ui.app import TOOL_META

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_DELIVERS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
_SETTLES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

_Function = Callable[..., Awaitable[CallToolResult]]

_TOOLS: dict[_Function, tuple[ToolGroup, str, ToolAnnotations]] = {
    list_notifications: (ToolGroup.TRIAGE, "List notifications", _READS),
    get_notification: (ToolGroup.TRIAGE, "Explain a notification", _READS),
    delivery_report: (ToolGroup.TRIAGE, "Report on deliveries", _READS),
    diagnose_dead_letters: (ToolGroup.TRIAGE, "Diagnose dead letters", _READS),
    dashboard_summary: (ToolGroup.TRIAGE, "Dashboard summary", _READS),
    list_channels: (ToolGroup.TRIAGE, "List channels", _READS),
    send_notification: (ToolGroup.SEND, "Send a notification", _DELIVERS),
    send_test_notification: (ToolGroup.SEND, "Test a channel", _DELIVERS),
    requeue_notification: (ToolGroup.REQUEUE, "Requeue a notification", _DELIVERS),
    requeue_notifications: (ToolGroup.REQUEUE, "Requeue many notifications", _DELIVERS),
    retry_due_notifications: (ToolGroup.REQUEUE, "Retry what is due", _DELIVERS),
    mark_notification_read: (ToolGroup.SETTLE, "Mark a notification read", _SETTLES),
    mark_notifications_read: (ToolGroup.SETTLE, "Mark many notifications read", _SETTLES),
    purge_notifications: (ToolGroup.PURGE, "Delete old notifications", _SETTLES),
}

TOOL_NAMES = frozenset(function.__name__ for function in _TOOLS)


def catalog(groups: Collection[ToolGroup] = frozenset(ToolGroup)) -> list[Tool]:
    """The tools of `groups`, ready to be served, by several servers of a process too."""
    return [_tool(function) for function, (group, _, _) in _TOOLS.items() if group in groups]


# Its schemas take longer to build than all the rest of a server.
@cache
def _tool(function: _Function) -> Tool:
    _, title, annotations = _TOOLS[function]
    # The line ends of a docstring are nobody's business.
    description = " ".join((function.__doc__ or "").split())
    tool = Tool.from_function(
        function,
        title=title,
        description=description,
        annotations=annotations,
        meta=dict(TOOL_META) if function is list_notifications else None,
    )
    tool.parameters = arguments_schema(tool.parameters)
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = lean(tool.fn_metadata.output_schema)
    return tool
