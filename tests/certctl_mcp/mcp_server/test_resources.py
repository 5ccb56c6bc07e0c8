"""The results of read-only tools are available under URIs too, and missing ones are explained."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Resource, ResourceTemplate, TextResourceContents

from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.mcp_server import errors
from certctl_mcp.mcp_server.errors import RESOURCE_NOT_FOUND
from certctl_mcp.mcp_server.resources import find
from certctl_mcp.mcp_server.server import build_server
from certctl_mcp.runtime.application import Application
from storage.errors import StorageError
from tests.builders import Queue
from tests.certctl_mcp.conftest import LEGACY, MODERN, MODES, Connect
from tests.storage.raw_sql import insert_row


async def read(client: Client, uri: str) -> object:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type) == (uri, "application/json")
    return json.loads(content.text)


async def refused(client: Client, uri: str) -> MCPError:
    with pytest.raises(MCPError) as refused:
        await client.read_resource(uri)
    assert refused.value.error.data == {"uri": uri}
    return refused.value


@pytest.mark.parametrize("mode", MODES)
async def test_each_resource_has_the_result_of_its_tool(
    connect: Connect, queue: Queue, mode: ConnectMode
) -> None:
    dead = await queue.dead(channel="Slack")
    await queue.sent()
    async with connect(mode) as client:
        for uri, tool, arguments in (
            ("certctl://notifications/dead", "list_notifications", {"status": "dead"}),
            ("certctl://channels", "list_channels", {}),
            (f"certctl://notifications/{dead.id}", "get_notification", {"id": dead.id}),
            ("certctl://notifications?status=sent", "list_notifications", {"status": "sent"}),
            (
                "certctl://notifications?channel=Slack&type=ExpirationWarning",
                "list_notifications",
                {"channel": "Slack", "type": "ExpirationWarning"},
            ),
            ("certctl://dashboard", "dashboard_summary", {}),
        ):
            answer = (await client.call_tool(tool, arguments)).structured_content
            assert await read(client, uri) == answer, uri


@pytest.mark.parametrize("mode", MODES)
async def test_listed_resources_can_be_read(connect: Connect, mode: ConnectMode) -> None:
    async with connect(mode) as client:
        listed = (await client.list_resources()).resources
        assert {resource.uri for resource in listed} == {
            "certctl://notifications/dead",
            "certctl://dashboard",
            "certctl://channels",
        }
        templates = (await client.list_resource_templates()).resource_templates
        assert {template.uri_template for template in templates} == {
            "certctl://notifications/{id}",
            "certctl://notifications{?status,channel,type}",
        }
        described: list[Resource | ResourceTemplate] = [*listed, *templates]
        for one in described:
            assert one.title
            assert one.description
            assert one.mime_type == "application/json"
        for resource in listed:
            await read(client, resource.uri)


async def test_equivalent_uris_are_accepted(connect: Connect, database_path: Path) -> None:
    insert_row(database_path, id="from elsewhere/1")
    async with connect(MODERN) as client:
        for spelt in (
            "certctl://notifications/from%20elsewhere%2F1",
            "certctl://notifications/from elsewhere/1",
            "CERTCTL://Notifications/%66rom%20elsewhere%2f1",
            # As from a client that puts the encoded id into the template.
            "certctl://notifications/from%2520elsewhere%252F1",
        ):
            found = await read(client, spelt)
            assert isinstance(found, dict)
            assert found["notification"]["id"] == "from%20elsewhere%2F1"
        await read(client, "certctl://notifications/%64ead")


@pytest.mark.parametrize(("mode", "code"), [(LEGACY, RESOURCE_NOT_FOUND), (MODERN, INVALID_PARAMS)])
async def test_a_missing_resource_is_an_error_with_the_code_of_the_protocol_revision(
    connect: Connect, mode: ConnectMode, code: int
) -> None:
    async with connect(mode) as client:
        for uri, told in (
            ("certctl://dashbord", "did you mean 'certctl://dashboard'?"),
            ("certctl://dashboard/more", "did you mean 'certctl://dashboard'?"),
            ("file:///etc/passwd", "There are: certctl://notifications/dead,"),
            ("certctl://notifications/", "certctl://notifications/{id}"),
            ("certctl://notifications/notif-0", "notif-0"),
            ("certctl://notifications/%00%F0", ""),
        ):
            refusal = await refused(client, uri)
            assert refusal.error.code == code, uri
            assert told in refusal.error.message
        with pytest.raises(MCPError) as refused_at_length:
            await client.read_resource("certctl://notifications/" + "x" * 5000)
        assert refused_at_length.value.error.code == code
        assert len(refused_at_length.value.error.message) <= 1100


@pytest.mark.parametrize("mode", MODES)
async def test_the_error_for_an_invalid_list_query_explains_it(connect: Connect, mode: ConnectMode) -> None:
    async with connect(mode) as client:
        for query, told in (
            ("status=deed", "did you mean 'dead'?"),
            ("state=dead", "did you mean 'status'?"),
            ("status=dead&status=failed", "at most once"),
            ("channel=Slak", "did you mean 'Slack'?"),
            ("type=Expiration", "did you mean 'ExpirationWarning'?"),
        ):
            refusal = await refused(client, f"certctl://notifications?{query}")
            assert refusal.error.code == INVALID_PARAMS
            assert told in refusal.error.message


@asynccontextmanager
async def away(_: Settings) -> AsyncIterator[Application]:
    raise StorageError("the database /home/operator/notifications.db can't be used")
    yield


@asynccontextmanager
async def never_open(_: Settings) -> AsyncIterator[Application]:
    await anyio.sleep_forever()
    yield  # type: ignore[misc]


@pytest.mark.parametrize("mode", MODES)
async def test_the_error_for_an_unusable_database_does_not_reveal_its_location(
    database_url: str, mode: ConnectMode
) -> None:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    async with Client(build_server(settings, open_application=away), mode=mode) as client:
        refusal = await refused(client, "certctl://dashboard")
        assert refusal.error.code == INTERNAL_ERROR
        assert refusal.error.message.startswith("The database can't be used now.")
        assert "/home" not in refusal.error.message


@pytest.mark.parametrize("mode", MODES)
async def test_a_read_times_out_before_the_hosts_timeout(
    database_url: str, mode: ConnectMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "CALL_TIMEOUT", errors.CALL_TIMEOUT / 1000)
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    async with Client(build_server(settings, open_application=never_open), mode=mode) as client:
        refusal = await refused(client, "certctl://dashboard")
        assert "No answer within" in refusal.error.message


@pytest.mark.parametrize("mode", MODES)
async def test_the_error_for_a_defect_reveals_no_internals(
    connect: Connect, mode: ConnectMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("/home/operator/secret")

    monkeypatch.setattr("certctl_mcp.services.channels.Channels.health", broken)
    async with connect(mode) as client:
        refusal = await refused(client, "certctl://channels")
        assert refusal.error.code == INTERNAL_ERROR
        assert "secret" not in refusal.error.message


@pytest.mark.parametrize("mode", MODES)
async def test_without_the_reading_tools_resources_cannot_be_read(
    connect: Connect, mode: ConnectMode
) -> None:
    async with connect(mode, tools=(ToolGroup.REQUEUE,)) as client:
        assert client.server_capabilities.resources is None
        for asked in (client.list_resources(), client.read_resource("certctl://notifications/dead")):
            with pytest.raises(MCPError, match="Method not found"):
                await asked


def test_equivalent_uris_are_watched_under_one_key() -> None:
    for spellings in (
        ("certctl://notifications/a%2Db", "certctl://notifications/a-b", "certctl://Notifications/%61-b"),
        ("certctl://notifications/dead", "certctl://notifications/%64ead"),
        ("certctl://notifications?status=dead&type=x", "certctl://notifications?type=x&status=%64ead"),
    ):
        assert len({find(spelt).uri for spelt in spellings}) == 1
    long = "x" * 250
    assert find(f"certctl://notifications/{long}1").uri != find(f"certctl://notifications/{long}2").uri
