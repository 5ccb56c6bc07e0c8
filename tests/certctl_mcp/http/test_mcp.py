"""MCP clients that are less strict than the SDK, and callers that open too many sessions."""

from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from certctl_mcp.http.sessions import MAX_PER_CALLER, Session, Sessions
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import ADMIN, OPERATOR, Served

BOTH = "application/json, text/event-stream"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
MODERN: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
MODERN_HEADERS = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/list"}


async def post(
    client: httpx2.AsyncClient, body: object, path: str = "/mcp", **headers: str | None
) -> httpx2.Response:
    request = client.build_request("POST", path, json=body)
    for name, value in headers.items():
        header = name.replace("_", "-")
        request.headers.pop(header, None)
        if value is not None:
            request.headers[header] = value
    return await client.send(request)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (BOTH, "text/event-stream"),
        ("*/*", "text/event-stream"),
        (None, "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
        ("application/json", "application/json"),
        ("application/*;q=0.5", "application/json"),
    ],
)
async def test_any_reasonable_accept_header_is_served(
    served: Served, accept: str | None, answered: str
) -> None:
    async with served.client(ADMIN) as client:
        opened = await post(client, INITIALIZE, accept=accept)
        assert opened.status_code == 200
        assert opened.headers["content-type"].partition(";")[0] == answered
        assert "certctl-mcp" in opened.text
        session = opened.headers["mcp-session-id"]
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await post(client, ready, accept=accept, mcp_session_id=session)).status_code == 202
        listed = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        tools = await post(client, listed, accept=accept, mcp_session_id=session)
        assert "list_notifications" in tools.text
        modern = await post(
            client, MODERN, accept=accept, **{k.replace("-", "_"): v for k, v in MODERN_HEADERS.items()}
        )
        assert modern.status_code == 200
        assert "list_notifications" in modern.text


async def test_the_error_for_an_unsupported_accept_header_explains_it(served: Served) -> None:
    async with served.client(ADMIN) as client:
        for body in (INITIALIZE, MODERN):
            refused = await post(client, body, accept="text/html")
            assert refused.status_code == 406
            assert "accept application/json, text/event-stream" in refused.json()["message"]
        modern = await client.get("/mcp", headers={"MCP-Protocol-Version": "2026-07-28", "Accept": BOTH})
        assert (modern.status_code, modern.headers["Allow"]) == (405, "POST")
        assert modern.json()["message"]


async def test_the_error_for_an_unknown_protocol_version_lists_the_supported_ones(served: Served) -> None:
    async with served.client(ADMIN) as client:
        opened = await post(client, INITIALIZE, accept=BOTH)
        session = opened.headers["mcp-session-id"]
        for headers in ({"mcp_session_id": session}, {}):
            refused = await post(
                client, INITIALIZE, accept=BOTH, mcp_protocol_version="1999-01-01", **headers
            )
            assert refused.status_code == 400
            assert "2025-11-25, 2026-07-28" in refused.json()["message"]


@pytest.mark.parametrize(
    ("path", "content_type"), [("/mcp/", "application/json"), ("/mcp", "APPLICATION/JSON; charset=UTF-8")]
)
async def test_equivalent_paths_and_content_types_are_accepted(
    served: Served, path: str, content_type: str
) -> None:
    async with served.client(ADMIN) as client:
        opened = await post(client, INITIALIZE, path, accept=BOTH, content_type=content_type)
    assert opened.status_code == 200


async def test_a_client_that_reconnects_gets_a_stream_although_no_events_are_kept(served: Served) -> None:
    async with served.client(ADMIN) as client:
        opened = await post(client, INITIALIZE, accept=BOTH)
        headers = {
            "Accept": "text/event-stream",
            "Last-Event-ID": "7",
            "Mcp-Session-Id": opened.headers["mcp-session-id"],
        }
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:

                async def end() -> None:
                    await anyio.sleep(0.1)
                    served.server.state.streams.end()

                tasks.start_soon(end)
                stream = await client.get("/mcp", headers=headers)
    assert stream.status_code == 200
    assert stream.headers["content-type"].startswith("text/event-stream")


async def test_a_confirmation_is_valid_only_for_the_key_it_was_issued_to(
    served: Served, queue: Queue
) -> None:
    await queue.dead()

    async def requeue(client: httpx2.AsyncClient, **arguments: str) -> dict[str, Any]:
        name = "requeue_notifications"
        params = MODERN["params"] | {"name": name, "arguments": arguments}
        request = MODERN | {"method": "tools/call", "params": params}
        headers = MODERN_HEADERS | {"mcp_method": "tools/call", "mcp_name": name}
        answered = await post(client, request, accept="application/json", **headers)
        result: dict[str, Any] = answered.json()["result"]
        return result

    async with served.client(ADMIN) as ada, served.client(OPERATOR) as otto:
        confirmation = (await requeue(ada))["structuredContent"]["confirmation"]
        stolen = (await requeue(otto, confirmation=confirmation))["structuredContent"]
        assert stolen["changed"] == 0
        assert "to another caller" in stolen["next"]
        done = await requeue(ada, confirmation=confirmation)
        assert done["structuredContent"]["changed"] == 1


async def test_at_the_limit_a_callers_longest_idle_session_ends_and_no_other_callers(served: Served) -> None:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}

    async def alive(client: httpx2.AsyncClient, session: str) -> bool:
        answered = await post(client, ping, accept=BOTH, mcp_session_id=session)
        assert answered.status_code in (200, 404)
        return answered.status_code == 200

    async with served.client(ADMIN) as ada, served.client(OPERATOR) as otto:
        other = (await post(otto, INITIALIZE, accept=BOTH)).headers["mcp-session-id"]
        sessions = []
        for _ in range(MAX_PER_CALLER):
            sessions.append((await post(ada, INITIALIZE, accept=BOTH)).headers["mcp-session-id"])
        assert await alive(ada, sessions[0])
        newest = await post(ada, INITIALIZE, accept=BOTH)
        assert newest.status_code == 200
        assert [await alive(ada, session) for session in sessions[:3]] == [True, False, True]
        assert await alive(otto, other)


def test_sessions_in_use_are_never_ended_to_make_room() -> None:
    sessions = Sessions(limit=4, per_caller=2)
    manager = StreamableHTTPSessionManager(Server("test"))
    user = AuthenticatedUser(AccessToken(token="", client_id="ada", scopes=[]))
    ada, again = (Session(name, "ada", manager, user) for name in ("a", "b"))
    sessions.add(ada)
    assert sessions.sessions_to_end("ada") == ()
    sessions.add(again)
    with sessions.using(ada):
        assert sessions.sessions_to_end("ada") == (again,)
        with sessions.using(again):
            assert sessions.sessions_to_end("ada") is None
            assert sessions.sessions_to_end("bob") == ()
    for name in ("c", "d"):
        sessions.add(Session(name, "carl", manager, user))
    assert sessions.sessions_to_end("bob") == (again,)
