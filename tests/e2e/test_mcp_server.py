"""The program as an MCP host uses it: a process on stdio, in every revision of the protocol."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.client import ConnectMode

from tests.e2e.program import certctl
from tests.processes import Program, forked

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0

ALERT = {"type": "ExpirationWarning", "channel": "Webhook", "message": "api.example.com expires in 7 days"}


@dataclass
class Receiver:
    """Accepts posts on loopback and records the ids of their notifications."""

    url: str = ""
    ids: list[str] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received.ids.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield received
        server.shutdown()


@pytest.fixture
def environment(database_url: str, receiver: Receiver) -> dict[str, str]:
    return {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_WEBHOOK_URL": receiver.url,
        "PYTHONPATH": str(ROOT),
    }


class Host:
    """Speaks the protocol's own lines, as hosts of older revisions do."""

    def __init__(self, environment: dict[str, str], *flags: str) -> None:
        pipe = subprocess.PIPE
        self.process = Program(
            "certctl_mcp", *flags, environment=environment, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()
        self._asked = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        assert self.process.stdout
        self._asked += 1
        self._say({"id": self._asked, "method": method, "params": params})
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self._asked
        result: dict[str, Any] = answer["result"]
        return result

    def greet(self, version: str) -> dict[str, Any]:
        client = {"name": "host", "version": "1"}
        greeting = self.ask("initialize", protocolVersion=version, capabilities={}, clientInfo=client)
        self._say({"method": "notifications/initialized"})
        return greeting

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.ask("tools/call", name=tool, arguments=arguments)
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        structured: dict[str, Any] = result["structuredContent"]
        return structured

    def leave(self) -> tuple[int, str]:
        """The exit code and the output on stderr."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdin.close()
        self.process.stdout.read()
        told = self.process.stderr.read().decode()
        code = self.process.wait()
        self._watchdog.cancel()
        self.process.close()
        return code, told

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
        self.process.stdin.flush()


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_a_host_with_a_handshake_can_send_an_alert_and_read_its_account(
    environment: dict[str, str], receiver: Receiver, version: str
) -> None:
    host = Host(environment)
    greeting = host.greet(version)
    assert greeting["protocolVersion"] == version
    assert greeting["capabilities"] == {
        "tools": {},
        "resources": {"subscribe": True},
        "prompts": {},
        "completions": {},
    }
    assert "Life of a notification" in greeting["instructions"]
    without_schema = {tool["name"] for tool in host.ask("tools/list")["tools"] if "outputSchema" not in tool}
    assert without_schema == {"delivery_report"}
    accepted = host.call("send_notification", **ALERT)
    deadline = time.monotonic() + PATIENCE
    while (details := host.call("get_notification", id=accepted["id"]))["notification"]["status"] != "sent":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert receiver.ids == [accepted["id"]]
    assert "Delivered " in details["account"]
    code, told = host.leave()
    assert code == 0
    assert "Traceback" not in told


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_the_sdks_client_accepts_every_result(environment: dict[str, str], mode: ConnectMode) -> None:
    program, *starting = forked("certctl_mcp")
    server = StdioServerParameters(command=program, args=starting, env=environment)
    with anyio.fail_after(PATIENCE):
        async with Client(server, mode=mode) as client:
            accepted = await client.call_tool("send_notification", dict(ALERT))
            assert accepted.structured_content is not None
            identified = {"id": accepted.structured_content["id"]}
            for tool, arguments in (
                ("list_notifications", {"status": ["pending", "sent"]}),
                ("get_notification", identified),
                ("retry_due_notifications", {}),
                ("mark_notification_read", identified),
                ("dashboard_summary", {}),
                ("list_channels", {}),
                ("audit_log", identified),
            ):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result.content
            refused = await client.call_tool("requeue_notification", identified)
            assert refused.is_error


def test_two_servers_share_one_database(environment: dict[str, str], receiver: Receiver) -> None:
    first, second = Host(environment), Host(environment)
    for host in (first, second):
        host.greet("2025-11-25")
    sent = {first.call("send_notification", **ALERT)["id"], second.call("send_notification", **ALERT)["id"]}
    deadline = time.monotonic() + PATIENCE
    while len(second.call("list_notifications", status="sent")["notifications"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sorted(receiver.ids) == sorted(sent)
    assert (first.leave()[0], second.leave()[0]) == (0, 0)


def test_the_server_answers_while_it_opens_the_database(environment: dict[str, str], tmp_path: Path) -> None:
    nowhere = tmp_path / "a file"
    nowhere.write_text("no directory")
    host = Host(environment | {"CERTCTL_DATABASE_URL": f"sqlite:///{nowhere}/notifications.db"})
    host.greet("2025-11-25")
    refused = host.ask("tools/call", name="list_notifications", arguments={})
    assert refused["isError"]
    assert str(tmp_path) not in refused["content"][0]["text"]
    _, told = host.leave()
    assert "trying again in 1 s" in told
    assert "Traceback" not in told


def test_invalid_settings_prevent_the_start(environment: dict[str, str]) -> None:
    host = Host(environment | {"CERTCTL_NOTIFICATION_RETRY_INTERVAL": "soon"})
    code, told = host.leave()
    assert code != 0
    assert "CERTCTL_NOTIFICATION_RETRY_INTERVAL" in told
    assert "Traceback" not in told


def test_flags_limit_the_tools_that_a_host_is_offered(environment: dict[str, str]) -> None:
    certctl(environment, "migrate")
    for flags, missing in (
        (["--read-only"], "requeue_notification"),
        (["--tools=triage,requeue", "--exclude=get_notification"], "get_notification"),
    ):
        host = Host(environment, *flags)
        host.greet("2025-11-25")
        offered = {tool["name"] for tool in host.ask("tools/list")["tools"]}
        refused = host.ask("tools/call", name=missing, arguments={"id": "notif-1"})
        assert refused["isError"]
        assert "is not served here" in refused["content"][0]["text"]
        host.leave()
        assert offered
        assert missing not in offered
