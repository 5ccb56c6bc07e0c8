"""What clients see of the tools: enough to call them correctly, in schemas that every client accepts."""

import re
from collections.abc import Iterator

import pytest
from mcp.server.mcpserver.tools import Tool

from certctl_mcp.mcp_server.tools.catalog import catalog

READING = {
    "list_notifications",
    "get_notification",
    "diagnose_dead_letters",
    "delivery_report",
    "dashboard_summary",
    "list_channels",
    "check_setup",
    "audit_log",
}
DELIVERING = {
    "send_notification",
    "send_test_notification",
    "requeue_notification",
    "requeue_notifications",
    "retry_due_notifications",
    "resume_channel",
}
SETTLING = {"mark_notification_read", "mark_notifications_read", "purge_notifications"}
PAUSING = {"pause_channel"}
TOOLS = catalog()

LONGEST_NAME = 40
"""Hosts prepend the server's name, and some providers allow only 64 characters."""

each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def schemas(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from schemas(item)
    elif isinstance(value, list):
        for item in value:
            yield from schemas(item)


def test_these_tools_are_served() -> None:
    assert {tool.name for tool in TOOLS} == READING | DELIVERING | SETTLING | PAUSING


@each_tool
def test_each_name_is_valid_for_every_client(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", tool.name)
    assert len(tool.name) <= LONGEST_NAME


@each_tool
def test_each_tool_has_a_title_a_description_and_an_output_schema(tool: Tool) -> None:
    assert tool.title
    assert 40 < len(tool.description) < 500
    assert "\n" not in tool.description
    if tool.name == "delivery_report":
        # With a schema, a chart would need structured content beside its picture.
        assert tool.output_schema is None
    else:
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"


@each_tool
def test_each_tool_is_annotated_with_whether_it_changes_anything(tool: Tool) -> None:
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is (tool.name in READING)
    # The counts of the summary are the only result without untrusted text.
    open_world = tool.name in DELIVERING | READING - {"dashboard_summary"}
    assert tool.annotations.open_world_hint is open_world
    if tool.name not in READING:
        assert tool.annotations.destructive_hint is (tool.name in SETTLING)
        assert tool.annotations.idempotent_hint is (tool.name in SETTLING | PAUSING)


@each_tool
def test_the_schemas_contain_nothing_that_a_client_may_reject(tool: Tool) -> None:
    for schema in schemas([tool.parameters, tool.output_schema]):
        assert not schema.keys() & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not"}


@each_tool
def test_all_arguments_are_described_and_unknown_ones_refused(tool: Tool) -> None:
    assert tool.parameters["type"] == "object"
    assert tool.parameters["additionalProperties"] is False
    for name, argument in tool.parameters["properties"].items():
        assert argument["type"] in {"string", "integer", "boolean", "array"}
        assert argument.get("description"), name
