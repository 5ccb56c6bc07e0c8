"""The catalog of tools: names, titles, annotations and schemas, as a client sees them before it calls."""

from collections.abc import Awaitable, Callable, Collection
from functools import cache

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations

from certctl_mcp.mcp_server.tools.audit import audit_log
from certctl_mcp.mcp_server.tools.bulk import (
    mark_notifications_read,
    purge_notifications,
    requeue_notifications,
)
from certctl_mcp.mcp_server.tools.channels import pause_channel, resume_channel
from certctl_mcp.mcp_server.tools.delivery_report import delivery_report
from certctl_mcp.mcp_server.tools.details import get_notification
from certctl_mcp.mcp_server.tools.diagnosis import diagnose_dead_letters
from certctl_mcp.mcp_server.tools.listing import list_notifications
from certctl_mcp.mcp_server.tools.overview import dashboard_summary, list_channels
from certctl_mcp.mcp_server.tools.schemas import arguments_schema, simplified
from certctl_mcp.mcp_server.tools.setup import check_setup
from certctl_mcp.mcp_server.tools.single import (
    mark_notification_read,
    requeue_notification,
    retry_due_notifications,
    send_notification,
    send_test_notification,
)
from certctl_mcp.mcp_server.tools.tool_metadata import with_plain_arguments
from certctl_mcp.ui.app import TOOL_META

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_READS_OTHERS_TEXT = ToolAnnotations(read_only_hint=True, open_world_hint=True)
"""The result contains text from outside: messages, errors, recipients, names."""
_DELIVERS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
_PAUSES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_SETTLES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)

_Function = Callable[..., Awaitable[CallToolResult]]

_TOOLS: dict[_Function, tuple[str, ToolAnnotations]] = {
    list_notifications: ("List notifications", _READS_OTHERS_TEXT),
    get_notification: ("Explain a notification", _READS_OTHERS_TEXT),
    delivery_report: ("Report on deliveries", _READS_OTHERS_TEXT),
    diagnose_dead_letters: ("Diagnose dead letters", _READS_OTHERS_TEXT),
    dashboard_summary: ("Dashboard summary", _READS),
    list_channels: ("List channels", _READS_OTHERS_TEXT),
    check_setup: ("Check the setup", _READS_OTHERS_TEXT),
    audit_log: ("Look up who did what", _READS_OTHERS_TEXT),
    send_notification: ("Send a notification", _DELIVERS),
    send_test_notification: ("Test a channel", _DELIVERS),
    requeue_notification: ("Requeue a notification", _DELIVERS),
    requeue_notifications: ("Requeue many notifications", _DELIVERS),
    retry_due_notifications: ("Retry what is due", _DELIVERS),
    mark_notification_read: ("Mark a notification read", _SETTLES),
    mark_notifications_read: ("Mark many notifications read", _SETTLES),
    pause_channel: ("Pause a channel", _PAUSES),
    resume_channel: ("Resume a channel", _DELIVERS),
    purge_notifications: ("Delete old notifications", _SETTLES),
}

TOOL_NAMES = frozenset(function.__name__ for function in _TOOLS)


def catalog(names: Collection[str] = TOOL_NAMES) -> list[Tool]:
    """The tools with these names, ready to be served, even by several servers of a process."""
    return [_tool(function) for function in _TOOLS if function.__name__ in names]


# Building the schemas takes longer than everything else in a server.
@cache
def _tool(function: _Function) -> Tool:
    title, annotations = _TOOLS[function]
    description = " ".join((function.__doc__ or "").split())
    tool = Tool.from_function(
        function,
        title=title,
        description=description,
        annotations=annotations,
        meta=dict(TOOL_META) if function is list_notifications else None,
    )
    tool.parameters = arguments_schema(tool.parameters)
    tool.fn_metadata = with_plain_arguments(tool.fn_metadata)
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = simplified(tool.fn_metadata.output_schema)
    return tool
