"""Which tools are there, and what does a client know of each before it calls?"""

from collections.abc import Awaitable, Callable, Collection

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations

from certctl_mcp.modes import ToolGroup
from certctl_mcp.tools.changing import (
    mark_notification_read,
    requeue_notification,
    retry_due_notifications,
    send_notification,
    send_test_notification,
)
from certctl_mcp.tools.details import get_notification
from certctl_mcp.tools.diagnosing import diagnose_dead_letters
from certctl_mcp.tools.listing import list_notifications
from certctl_mcp.tools.many import mark_notifications_read, purge_notifications, requeue_notifications
from certctl_mcp.tools.overview import dashboard_summary, list_channels
from certctl_mcp.tools.reporting import delivery_report
from certctl_mcp.tools.schemas import arguments_schema, lean
from certctl_mcp.ui.app import TOOL_META

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_DELIVERS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
_SETTLES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

_TOOLS: tuple[tuple[ToolGroup, Callable[..., Awaitable[CallToolResult]], str, ToolAnnotations], ...] = (
    (ToolGroup.TRIAGE, list_notifications, "List notifications", _READS),
    (ToolGroup.TRIAGE, get_notification, "Explain a notification", _READS),
    (ToolGroup.TRIAGE, delivery_report, "Report on deliveries", _READS),
    (ToolGroup.TRIAGE, diagnose_dead_letters, "Diagnose dead letters", _READS),
    (ToolGroup.TRIAGE, dashboard_summary, "Dashboard summary", _READS),
    (ToolGroup.TRIAGE, list_channels, "List channels", _READS),
    (ToolGroup.SEND, send_notification, "Send a notification", _DELIVERS),
    (ToolGroup.SEND, send_test_notification, "Test a channel", _DELIVERS),
    (ToolGroup.REQUEUE, requeue_notification, "Requeue a notification", _DELIVERS),
    (ToolGroup.REQUEUE, requeue_notifications, "Requeue many notifications", _DELIVERS),
    (ToolGroup.REQUEUE, retry_due_notifications, "Retry what is due", _DELIVERS),
    (ToolGroup.SETTLE, mark_notification_read, "Mark a notification read", _SETTLES),
    (ToolGroup.SETTLE, mark_notifications_read, "Mark many notifications read", _SETTLES),
    (ToolGroup.PURGE, purge_notifications, "Delete old notifications", _SETTLES),
)

TOOL_NAMES = frozenset(function.__name__ for _, function, _, _ in _TOOLS)


def catalog(groups: Collection[ToolGroup] = frozenset(ToolGroup)) -> list[Tool]:
    """The tools of `groups`, ready to be served."""
    return [
        _tool(function, title, annotations)
        for group, function, title, annotations in _TOOLS
        if group in groups
    ]


def _tool(
    function: Callable[..., Awaitable[CallToolResult]], title: str, annotations: ToolAnnotations
) -> Tool:
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
