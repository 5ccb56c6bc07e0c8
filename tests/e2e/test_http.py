"""The HTTP server as clients and service managers use it: a process, its addresses, its log, and signals."""

import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import trustme
from mcp import Client
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.e2e.http_receiver import Receiver
from tests.e2e.http_server import ADMIN, KEYS, OPERATOR, READER, HttpProcess, serving
from tests.e2e.program import ALERT, PATIENCE, certctl
from tests.e2e.queue_file import statuses

MODES: list[ConnectMode] = ["legacy", "2026-07-28"]
LIST = "/api/v1/notifications"
GREETING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
NEW = {"type": "ExpirationWarning", "channel": "Webhook", "message": "it expires"}


@asynccontextmanager
async def connected(server: HttpProcess, key: str | None, mode: ConnectMode) -> AsyncIterator[Client]:
    async with server.client(key) as http_client:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http_client)
        async with Client(transport, mode=mode) as client:
            yield client


EVERY_TOOL = {"CERTCTL_MCP_TOOLS": "triage,send,requeue,settle,channels,purge"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_works_over_http_as_on_stdio(
    environment: dict[str, str], receiver: Receiver, mode: ConnectMode
) -> None:
    with serving(environment) as server:
        async with connected(server, None, mode) as client:
            sent = await client.call_tool("send_notification", NEW)
            assert not sent.is_error
            assert await anyio.to_thread.run_sync(receiver.asked.wait, PATIENCE)
            listed = await client.call_tool("list_notifications", {})
            assert listed.structured_content is not None
            assert listed.structured_content["total"] == 1


@pytest.mark.parametrize("mode", MODES)
async def test_each_role_has_its_tools(environment: dict[str, str], mode: ConnectMode) -> None:
    offered: dict[str, set[str]] = {}
    with serving(environment | KEYS | EVERY_TOOL) as server:
        for key in (READER, OPERATOR, ADMIN):
            async with connected(server, key, mode) as client:
                offered[key] = {tool.name for tool in (await client.list_tools()).tools}
                refused = await client.call_tool("purge_notifications", {"statuses": ["sent"]})
                (told,) = refused.content
                assert isinstance(told, TextContent)
                assert ("is not served here" in told.text) == (key != ADMIN)
    assert offered[ADMIN] - offered[OPERATOR] == {"purge_notifications"}
    assert {"requeue_notification", "send_notification"} <= offered[OPERATOR] - offered[READER]
    assert {"list_notifications", "get_notification"} <= offered[READER]


@pytest.mark.parametrize("mode", MODES)
async def test_actions_over_mcp_are_audited_under_the_callers_name(
    environment: dict[str, str], mode: ConnectMode
) -> None:
    kept: dict[str, list[tuple[str, str]]] = {}
    with serving(environment | KEYS) as server:
        async with connected(server, ADMIN, mode) as ada, connected(server, OPERATOR, mode) as otto:
            for key, client in ((ADMIN, ada), (OPERATOR, otto), (ADMIN, ada)):
                sent = await client.call_tool("send_notification", NEW)
                assert sent.structured_content is not None
                async with server.client() as rest:
                    entries = (await rest.get(f"{LIST}/{sent.structured_content['id']}")).json()["audit"]
                kept[key] = [(entry["actor"], entry["action"]) for entry in entries]
    assert kept == {ADMIN: [("http:ada", "send")], OPERATOR: [("http:otto", "send")]}


async def test_only_its_owner_can_use_a_session(environment: dict[str, str]) -> None:
    accept = {"Accept": "application/json, text/event-stream"}
    with serving(environment | {"CERTCTL_API_KEYS_NAMED": "ada:key-of-ada,bob:key-of-bob"}) as server:
        async with server.client("key-of-ada") as ada, server.client("key-of-bob") as bob:
            opened = await ada.post("/mcp", json=GREETING, headers=accept)
            session = accept | {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            assert (await ada.post("/mcp", json=ping, headers=session)).status_code == 200
            assert (await bob.post("/mcp", json=ping, headers=session)).status_code == 404


async def test_with_many_sessions_one_loop_delivers_each_alert_once(
    environment: dict[str, str], receiver: Receiver
) -> None:
    with serving(environment) as server:
        async with connected(server, None, "legacy"), connected(server, None, "legacy") as client:
            for number in range(5):
                await client.call_tool("send_notification", NEW | {"message": f"alert {number}"})
            with anyio.fail_after(PATIENCE):
                while statuses(environment) != {"sent"}:  # noqa: ASYNC110 (there is no event to wait for)
                    await anyio.sleep(0.02)
        server.process.terminate()
        code, _ = server.ends()
    assert code == 0
    assert receiver.count == 5


async def test_a_stopping_server_answers_pending_requests_delivers_and_ends_its_streams(
    environment: dict[str, str], receiver: Receiver
) -> None:
    receiver.answers.clear()
    with serving(environment) as server:
        async with (
            connected(server, None, "2026-07-28") as client,
            client.listen(resource_subscriptions=["certctl://dashboard"]) as told,
        ):
            await client.call_tool("send_notification", NEW)
            assert await anyio.to_thread.run_sync(receiver.asked.wait, PATIENCE)
            server.process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(server.wait_until, "SIGTERM: shutting down")
            with anyio.fail_after(20):
                async for _ in told:
                    pass
            receiver.answers.set()
            code, _ = await anyio.to_thread.run_sync(server.ends)
    assert code == 0
    assert statuses(environment) == {"sent"}


async def test_a_client_that_listens_in_a_session_does_not_delay_the_exit(
    environment: dict[str, str],
) -> None:
    with serving(environment) as server:
        async with server.client() as client:
            accept = {"Accept": "application/json, text/event-stream"}
            opened = await client.post("/mcp", json=GREETING, headers=accept)
            session = accept | {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
            async with client.stream("GET", "/mcp", headers=session) as listening:
                assert listening.status_code == 200
                server.process.terminate()
                with anyio.fail_after(20):
                    assert await listening.aread() == b""
            code, _ = await anyio.to_thread.run_sync(server.ends)
    assert code == 0


def test_a_second_signal_ends_the_server_at_once(environment: dict[str, str], receiver: Receiver) -> None:
    receiver.answers.clear()
    certctl(environment, *ALERT)
    with serving(environment) as server:
        assert receiver.asked.wait(PATIENCE)
        server.process.terminate()
        server.wait_until("SIGTERM: shutting down")
        server.process.terminate()
        code, _ = server.ends()
    assert code == -signal.SIGTERM


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_keys_the_server_listens_only_on_loopback(environment: dict[str, str], host: str) -> None:
    ended = certctl(environment, "serve", "--http", "--host", host)
    assert ended.returncode == 2
    assert "without a key: set CERTCTL_API_KEYS_NAMED" in ended.stderr


def test_a_port_in_use_is_reported_on_one_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = certctl(environment, "serve", "--http", "--port", port)
    assert ended.returncode == 2
    *_log, problem = ended.stderr.splitlines()
    assert problem == f"certctl-mcp: can't listen on 127.0.0.1 port {port}: Address already in use"


def test_http_options_without_http_are_an_error(environment: dict[str, str]) -> None:
    ended = certctl(environment, "serve", "--port", "8080")
    assert (ended.returncode, ended.stderr) == (
        2,
        "certctl-mcp: --port is only for HTTP: add --http\n",
    )


async def test_with_an_unusable_database_the_server_is_healthy_but_not_ready(
    environment: dict[str, str],
) -> None:
    with serving(environment | {"CERTCTL_DATABASE_URL": "sqlite:////dev/null/x.db"}) as server:
        async with server.client(None) as client:
            assert (await client.get("/health")).json() == {"status": "healthy"}
            unready = await client.get("/ready")
            refused = await client.get(LIST)
    assert (unready.status_code, unready.json()) == (503, {"status": "db_unavailable"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "/dev/null" not in refused.text


async def test_a_database_moved_away_is_noticed_at_once_and_used_again_when_it_is_back(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path, away = tmp_path / "notifications.db", tmp_path / "away.db"
    with serving(environment | {"CERTCTL_DATABASE_URL": f"sqlite:///{path}"}) as server:
        async with server.client(None) as client:
            assert (await client.post(LIST, json=NEW)).status_code == 201
            path.rename(away)
            refused = await client.post(LIST, json=NEW)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert (await client.get("/ready")).json() == {"status": "db_unavailable"}
            away.rename(path)
            assert (await client.post(LIST, json=NEW)).status_code == 201
            assert (await client.get("/ready")).json()["status"] == "ready"
            assert (await client.get(LIST)).json()["total"] == 2
        assert "its file was removed or moved away; put it back" in "".join(server.log)


async def test_a_read_only_server_changes_nothing(environment: dict[str, str]) -> None:
    certctl(environment, "migrate")
    with serving(environment | KEYS, "--read-only") as server:
        async with server.client(ADMIN) as client:
            assert (await client.post(LIST, json=NEW)).status_code == 403
            assert (await client.get(LIST)).json()["total"] == 0


async def test_clients_that_trust_the_certificate_can_connect_over_tls(
    environment: dict[str, str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serving(environment, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        assert server.url.startswith("https://")
        async with httpx2.AsyncClient(base_url=server.url, verify=trusting) as client:
            assert (await client.get("/health")).json() == {"status": "healthy"}


async def test_the_log_shows_the_caller_and_no_key(environment: dict[str, str]) -> None:
    with serving(environment | KEYS) as server:
        async with server.client(OPERATOR) as client:
            await client.get(LIST)
            answered = await client.post(LIST, json=NEW)
        async with server.client("guessed-key") as client:
            await client.get(LIST)
        server.process.terminate()
        _, log = server.ends()
    request_id = answered.headers["X-Request-ID"]
    assert f"POST {LIST} 201 in " in log
    assert f"key otto, request {request_id}" in log
    # Successful reads are logged at debug level.
    assert "GET /api/v1/notifications 401 in " in log
    assert "GET /api/v1/notifications 200" not in log
    for key in (ADMIN, OPERATOR, READER, "guessed-key"):
        assert key not in log
