"""An assistant is offered exactly the tools that the operator allows."""

import pytest
from mcp import Client
from mcp_types import TextContent

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.config.tool_groups import TOOLS, ToolGroup
from certctl_mcp.mcp_server.server import build_server
from certctl_mcp.mcp_server.tools.catalog import catalog
from tests.certctl_mcp.mcp_server.test_server import never


def settings(database_url: str, **variables: str) -> Settings:
    return load_settings(None, {"CERTCTL_DATABASE_URL": database_url} | variables)


async def served(chosen: Settings) -> set[str]:
    async with Client(build_server(chosen, open_application=never)) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


def names(*groups: ToolGroup) -> set[str]:
    return {tool.name for tool in catalog({name for group in groups for name in TOOLS[group]})}


async def test_a_read_only_server_has_no_tool_that_changes_anything(database_url: str) -> None:
    reading = await served(settings(database_url, CERTCTL_MCP_READ_ONLY="true"))
    assert reading == {
        tool.name for tool in catalog() if tool.annotations and tool.annotations.read_only_hint
    }
    assert "list_notifications" in reading


async def test_tool_groups_can_be_selected(database_url: str) -> None:
    picked = await served(settings(database_url, CERTCTL_MCP_TOOLS="Triage, requeue"))
    assert picked == names(ToolGroup.TRIAGE, ToolGroup.REQUEUE)
    assert "requeue_notification" in picked
    assert "send_notification" not in picked


async def test_a_tool_that_is_not_served_cannot_be_called_and_the_error_says_so(database_url: str) -> None:
    chosen = settings(database_url, CERTCTL_MCP_READ_ONLY="true")
    async with Client(build_server(chosen, open_application=never)) as client:
        result = await client.call_tool("requeue_notification", {"id": "notif-1"})
        assert result.is_error
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert content.text.startswith(
            "requeue_notification is not served here: the operator allows only list_"
        )


@pytest.mark.parametrize("groups", ["read_only", "triage", "requeue", "send", "settle", "purge"])
async def test_the_instructions_recommend_only_tools_that_are_served(database_url: str, groups: str) -> None:
    variables = {"CERTCTL_MCP_READ_ONLY": "true"} if groups == "read_only" else {"CERTCTL_MCP_TOOLS": groups}
    chosen = settings(database_url, **variables)
    async with Client(build_server(chosen, open_application=never), mode="legacy") as client:
        told = client.instructions or ""
        offered = {tool.name for tool in (await client.list_tools()).tools}
    recommended = {tool.name for tool in catalog() if tool.name in told.replace(",", " ").split()}
    assert recommended <= offered
    assert ("read-only" in told) is (groups in {"read_only", "triage"})


@pytest.mark.parametrize(
    ("attempts", "base", "said"),
    [
        ("5", "1m", "after 1m, 2m, 4m, 8m) -> dead (5 attempts"),
        ("2", "90s", "after 1m30s) -> dead (2 attempts"),
        ("1", "1m", "at next_retry_at) -> dead (1 attempt "),
        ("20", "1m", "after 1m, 2m, 4m, 8m, 16m, 32m, ...) -> dead (20 attempts"),
    ],
)
async def test_the_instructions_contain_the_settings_of_this_server(
    database_url: str, attempts: str, base: str, said: str
) -> None:
    variables = {"CERTCTL_NOTIFICATION_MAX_ATTEMPTS": attempts, "CERTCTL_NOTIFICATION_BACKOFF_BASE": base}
    chosen = settings(database_url, **variables)
    async with Client(build_server(chosen, open_application=never), mode="legacy") as client:
        assert said in (client.instructions or "")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"CERTCTL_MCP_TOOLS": "triag"},
            "there is no group of tools and no tool 'triag'; did you mean triage?",
        ),
        ({"CERTCTL_MCP_TOOLS": ","}, "names no group of tools and no tool; the groups are triage, send,"),
        ({"CERTCTL_MCP_READ_ONLY": "perhaps"}, "CERTCTL_MCP_READ_ONLY='perhaps': must be true or false"),
        (
            {"CERTCTL_MCP_READ_ONLY": "1", "CERTCTL_MCP_TOOLS": "send"},
            "a read-only server serves tools of the group triage only",
        ),
    ],
)
def test_settings_that_serve_no_tool_are_refused(
    variables: dict[str, str], problem: str, database_url: str
) -> None:
    with pytest.raises(SettingsError, match=problem.replace("?", r"\?")):
        settings(database_url, **variables)


def test_an_option_overrides_the_environment(database_url: str) -> None:
    environ = {"CERTCTL_DATABASE_URL": database_url, "CERTCTL_MCP_TOOLS": "send"}
    chosen = load_settings(None, environ, tools=(ToolGroup.TRIAGE,))
    assert chosen.tool_groups == {ToolGroup.TRIAGE}
