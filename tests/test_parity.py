"""Which front end offers which operation, in one table that every tool, command and route must be in."""

import re
from dataclasses import dataclass
from importlib.resources import files

import pytest
from fastapi.routing import APIRoute

from certctl_mcp.cli.commands.app import app
from certctl_mcp.http.api.routers import ROUTERS
from certctl_mcp.mcp_server.tools.catalog import TOOL_NAMES


@dataclass(frozen=True)
class Operation:
    """Its name in each front end; None if the front end doesn't offer it."""

    tool: str | None
    command: str | None
    route: str | None


OPERATIONS = {
    "find": Operation("list_notifications", "list", "GET /api/v1/notifications"),
    "explain": Operation("get_notification", "show", "GET /api/v1/notifications/{id}"),
    "summarize": Operation("dashboard_summary", "summary", "GET /api/v1/stats/summary"),
    "channels": Operation("list_channels", "channels", "GET /api/v1/channels"),
    "check the setup": Operation("check_setup", "doctor", None),
    "pause": Operation("pause_channel", "pause", "POST /api/v1/channels/{name}/pause"),
    "resume": Operation("resume_channel", "resume", "POST /api/v1/channels/{name}/resume"),
    "diagnose": Operation("diagnose_dead_letters", "diagnose", "GET /api/v1/diagnosis"),
    "report": Operation("delivery_report", "report", "GET /api/v1/stats/deliveries"),
    "send": Operation("send_notification", "send", "POST /api/v1/notifications"),
    "test a channel": Operation("send_test_notification", "test", "POST /api/v1/channels/{name}/test"),
    "requeue": Operation("requeue_notification", "requeue", "POST /api/v1/notifications/{id}/requeue"),
    "requeue by filter": Operation("requeue_notifications", "requeue", "POST /api/v1/notifications/requeue"),
    "settle": Operation("mark_notification_read", "read", "POST /api/v1/notifications/{id}/read"),
    "settle by filter": Operation("mark_notifications_read", "read", "POST /api/v1/notifications/read"),
    "purge": Operation("purge_notifications", "purge", "POST /api/v1/notifications/purge"),
    "attempt what is due": Operation(
        "retry_due_notifications", "worker", "POST /api/v1/notifications/retry-due"
    ),
    "look up who did what": Operation("audit_log", "audit", "GET /api/v1/audit"),
}

OF_THE_PROGRAM = {"serve", "watch", "init", "config", "install", "migrate", "backup", "copy", "demo"}
"""Commands that start something or maintain the database."""

OF_CERTCTL = {
    "GET /api/v1/stats/certificates-by-status",
    "GET /api/v1/stats/expiration-timeline",
    "GET /api/v1/stats/job-trends",
    "GET /api/v1/stats/issuance-rate",
}
"""Routes about certctl's tables, for certctl's clients."""


NOT_ON_THE_PAGE = {"check the setup", "send", "attempt what is due", "settle"}
"""The page marks one notification as read with the bulk action."""


def commands() -> set[str]:
    return {str(command.name) for command in app.registered_commands}


def routes() -> set[str]:
    api = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return {f"{method} {route.path}" for route in api for method in route.methods or ()}


@pytest.mark.parametrize(
    ("offered", "column", "others"),
    [
        (set(TOOL_NAMES), "tool", set()),
        (commands(), "command", OF_THE_PROGRAM),
        (routes(), "route", OF_CERTCTL),
    ],
    ids=["tools", "commands", "routes"],
)
def test_the_table_lists_exactly_what_a_front_end_offers(
    offered: set[str], column: str, others: set[str]
) -> None:
    named = {getattr(operation, column) for operation in OPERATIONS.values()} - {None}
    assert offered - others == named


def test_the_page_calls_the_tools_of_its_operations_and_no_others() -> None:
    scripts = [file for file in files("certctl_mcp.ui").iterdir() if file.name.endswith(".js")]
    named = {name for script in scripts for name in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', script.read_text())}
    assert named & TOOL_NAMES == {
        operation.tool for name, operation in OPERATIONS.items() if name not in NOT_ON_THE_PAGE
    }
