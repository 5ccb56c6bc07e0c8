"""Third-party clients accept the schemas of the tools, and every result matches its schema."""

from pathlib import Path
from typing import Any

from certctl_mcp.mcp_server.tools.catalog import TOOL_NAMES
from tests.clients.dead_letters import DeadLetters
from tests.clients.inspector import inspect
from tests.clients.libraries import in_javascript


def test_the_inspector_accepts_the_schemas(
    node_packages: Path, dead_letters: DeadLetters, tmp_path: Path
) -> None:
    environment = dead_letters.copied_to(tmp_path)
    told = inspect(node_packages, environment, "tools/list", "--strict", "--protocol-era", "modern")
    assert all(f'"{tool}"' in told for tool in TOOL_NAMES)


def test_according_to_the_typescript_sdk_every_result_matches_its_schema(
    node_packages: Path, dead_letters: DeadLetters, tmp_path: Path
) -> None:
    first, second = ({"id": dead} for dead in dead_letters.ids)
    channel = {"channel": "Webhook"}
    calls: dict[str, dict[str, Any]] = {
        "list_notifications": {},
        "get_notification": first,
        "delivery_report": {},
        "diagnose_dead_letters": {},
        "dashboard_summary": {},
        "list_channels": {},
        "check_setup": {},
        "audit_log": {},
        "send_test_notification": channel,
        "requeue_notifications": channel,
        "mark_notifications_read": channel,
        "requeue_notification": first,
        "mark_notification_read": second,
        "send_notification": channel | {"type": "RenewalFailure", "message": "renewal failed"},
        "retry_due_notifications": {},
        "purge_notifications": {"created_before": "1h"},
        "pause_channel": channel | {"until": "1h", "reason": "maintenance"},
        "resume_channel": channel,
    }
    assert calls.keys() == TOOL_NAMES
    with in_javascript(
        "typescript_1.mjs", "legacy", node_packages, dead_letters.copied_to(tmp_path), ()
    ) as client:
        for tool, arguments in calls.items():
            assert client.call(tool, **arguments)
