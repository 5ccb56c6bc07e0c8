"""How the server introduces itself, in each revision of the protocol."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp import Client
from mcp.client.client import ConnectMode

from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.config.tool_groups import DEFAULT_TOOLS
from certctl_mcp.mcp_server.server import build_server
from certctl_mcp.runtime.application import Application
from storage.errors import StorageError
from tests.certctl_mcp.conftest import Connect

MODES: list[ConnectMode] = ["legacy", "2026-07-28"]


@asynccontextmanager
async def never(_: Settings) -> AsyncIterator[Application]:
    raise StorageError("the database /home/operator/notifications.db can't be used")
    yield


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load_settings(None, {"CERTCTL_DATABASE_URL": database_url})


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_database_the_server_answers_and_says_what_is_missing(
    settings: Settings, mode: ConnectMode
) -> None:
    async with Client(build_server(settings, open_application=never), mode=mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == set(DEFAULT_TOOLS)
        result = await client.call_tool("list_channels", {})
        assert result.is_error
        (content,) = result.content
        assert content.type == "text"
        assert (
            content.text == "The database can't be used now. Nothing was changed; the server's log says why."
        )


async def test_calls_are_logged_by_tool_and_those_that_only_read_at_debug_level(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "certctl_mcp.mcp_server.server")
    async with connect("legacy") as client:
        await client.call_tool("list_channels", {})
        await client.call_tool("get_notification", {"id": "notif-absent"})
        new = {"type": "Revocation", "channel": "Webhook", "message": "it is revoked"}
        await client.call_tool("send_notification", new)
        await client.call_tool("no_such_tool", {})
    lines = [(r.levelname, re.sub(r" in \S+ s,", ",", r.getMessage())) for r in caplog.records]
    caller = "called by stdio:mcp 0.1.0"
    assert [line for line in lines if "called by" in line[1]] == [
        ("DEBUG", f"list_channels was answered, {caller}"),
        ("INFO", f"get_notification was refused, {caller}"),
        ("INFO", f"send_notification was answered, {caller}"),
        ("INFO", f"unknown was refused, {caller}"),
    ]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_advertises_exactly_the_capabilities_it_has(
    settings: Settings, mode: ConnectMode
) -> None:
    async with Client(build_server(settings, open_application=never), mode=mode) as client:
        advertised = client.server_capabilities.model_dump(exclude_none=True)
        assert advertised.pop("extensions", {}) == (
            {} if mode == "legacy" else {"io.modelcontextprotocol/ui": {}}
        )
        # The lists never change, so there is no listChanged.
        assert advertised == {
            "tools": {},
            "resources": {"subscribe": True},
            "prompts": {},
            "completions": {},
        }


async def test_lists_can_be_cached_and_resource_contents_cannot(connect: Connect) -> None:
    async with connect("auto") as client:
        discovered = client.session.discover_result
        assert discovered is not None
        for lasting in (
            discovered,
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
        ):
            assert (lasting.ttl_ms, lasting.cache_scope) == (3_600_000, "private")
        read = await client.read_resource("certctl://dashboard")
        assert (read.ttl_ms, read.cache_scope) == (0, "private")


async def test_the_instructions_explain_the_life_cycle_of_a_notification(settings: Settings) -> None:
    async with Client(build_server(settings, open_application=never), mode="legacy") as client:
        instructions = client.instructions
        assert instructions is not None
        for word in (
            "pending",
            "failed",
            "dead",
            "requeue_notification",
            "untrusted",
            "[redacted]",
            r"\u{202e}",
        ):
            assert word in instructions


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_info_has_what_a_host_shows(settings: Settings, mode: ConnectMode) -> None:
    async with Client(build_server(settings, open_application=never), mode=mode) as client:
        info = client.server_info
    assert info is not None
    assert (info.name, info.title) == ("certctl-mcp", "certctl notifications")
    assert info.description
    assert info.website_url
    assert info.icons
    assert info.icons[0].src.startswith("data:image/svg+xml,")
