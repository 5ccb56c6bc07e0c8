"""The server over raw JSON-RPC, on stdio and over HTTP, without the SDK's client."""

import json
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certctl_mcp.mcp_server.answer_budget import MAX_TOKENS
from tests.e2e.http_server import serving
from tests.exploration import size
from tests.processes import Program
from tests.tokens import tokens

Json = dict[str, Any]

VERSION = "2025-06-18"
PATIENCE = 60.0
INITIALIZE: Json = {
    "jsonrpc": "2.0",
    "id": "hello",
    "method": "initialize",
    "params": {
        "protocolVersion": VERSION,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
INITIALIZED: Json = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(request: object, tool: str, arguments: object) -> Json:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request, "method": "tools/call", "params": params}


class RawClient:
    """Writes lines and reads lines. A watchdog ends a server that hangs, which fails the read."""

    def __init__(self, process: Program) -> None:
        assert process.stdin
        assert process.stdout
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout

    def write(self, *lines: bytes) -> None:
        self._stdin.write(b"".join(line + b"\n" for line in lines))
        self._stdin.flush()

    def send(self, *messages: object) -> None:
        self.write(*(json.dumps(message).encode() for message in messages))

    def read(self) -> Any:
        line = self._stdout.readline()
        assert line, "the server ended or hung"
        return json.loads(line)

    def ask(self, message: Json) -> Json:
        self.send(message)
        answer: Json = self.read()
        return answer

    @property
    def memory(self) -> int:
        """Bytes of resident memory."""
        with open(f"/proc/{self._process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self._stdin.close()


@contextmanager
def raw(environment: dict[str, str], version: str = VERSION) -> Iterator[RawClient]:
    process = Program(
        "certctl_mcp",
        environment=environment | {"CERTCTL_LOG_LEVEL": "error"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        client = RawClient(process)
        params = INITIALIZE["params"] | {"protocolVersion": version}
        assert client.ask(INITIALIZE | {"params": params})["result"]["protocolVersion"] == version
        client.send(INITIALIZED)
        yield client
        client.close()
        assert process.wait() == 0
    finally:
        watchdog.cancel()
        process.close()


LINES: list[tuple[bytes, object, int | None]] = [
    (b"\xef\xbb\xbf" + json.dumps(call(1, "list_channels", {})).encode(), 1, None),
    (json.dumps(call(2, "list_notifications", {"text": "\ud800"})).encode(), 2, None),
    (json.dumps(call(6.0, "list_channels", {})).encode(), 6, None),
    (b"hello", None, -32700),
    (json.dumps(call(6.5, "list_channels", {})).encode(), 6.5, -32600),
    (json.dumps([call(8, "list_channels", {})]).encode(), 8, -32600),
    (json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": [1]}).encode(), 9, -32602),
    (json.dumps({"jsonrpc": "2.0", "id": 10, "method": "no/such"}).encode(), 10, -32601),
    (json.dumps({"id": 11, "method": "ping"}).encode(), 11, -32600),
    (json.dumps({"jsonrpc": "2.0", "id": 12, "method": "ping"}).encode(), 12, None),
]

TOOL_CALLS: list[tuple[str, Json, bool]] = [
    ("list_notifications", {"status": None, "text": "", "toolCallId": "x", "_meta": {}}, True),
    ("list_notifications", {"status": "DEAD, failed", "created_after": "1w"}, True),
    ("list_notifications", {"sttus": "dead"}, False),
    ("list_notifications", {"limit": 0}, False),
    ("delivery_report", {"period": "24 hours", "chart": True}, True),
    ("dashboard_summary", {"random_string": "x"}, True),
    ("get_notification", {"id": None}, False),
    ("no_such_tool", {}, False),
]


def test_every_line_on_stdio_is_answered_under_its_id(environment: dict[str, str]) -> None:
    with raw(environment) as client:
        for line, request, code in LINES:
            client.write(line)
            answer = client.read()
            assert answer["id"] == request, (line, answer)
            assert answer.get("error", {}).get("code") == code, (line, answer)
        for number, (tool, arguments, succeeds) in enumerate(TOOL_CALLS, 100):
            answer = client.ask(call(number, tool, arguments))
            assert bool(answer["result"].get("isError")) is not succeeds, (tool, arguments, answer)
            assert tokens(json.dumps(answer)) <= MAX_TOKENS


def test_a_batch_is_answered_as_one_if_the_protocol_revision_has_batches(environment: dict[str, str]) -> None:
    with raw(environment, "2025-03-26") as client:
        client.send([call(1, "list_channels", {}), call(6.5, "x", {}), INITIALIZED, call(2, "x", {})])
        assert {answer["id"] for answer in client.read()} == {1, 6.5, 2}
        client.send([INITIALIZED])
        assert client.ask({"jsonrpc": "2.0", "id": 3, "method": "ping"})["id"] == 3


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def test_every_variation_of_arguments_is_answered_within_its_limit(environment: dict[str, str]) -> None:
    """Schema-valid and schema-invalid ones; nothing hangs, and no tool shows an internal error."""
    with raw(environment) as client:
        client.send({"jsonrpc": "2.0", "id": "tools", "method": "tools/list"})
        tools = {tool["name"]: tool["inputSchema"] for tool in client.read()["result"]["tools"]}
        names = sorted(tools)
        requests = iter(range(1000, 10**9))

        @settings(
            max_examples=size(short=40, long=2000),
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.sampled_from(names), st.data())
        def vary(tool: str, data: st.DataObject) -> None:
            known = st.sampled_from(sorted(tools[tool]["properties"]) or ["x"])
            arguments = data.draw(st.dictionaries(known | st.text(max_size=5), VALUES, max_size=4))
            request = next(requests)
            answer = client.ask(call(request, tool, arguments))
            # The client declared elicitation, and declines.
            while "method" in answer:
                if "id" in answer:
                    client.send({"jsonrpc": "2.0", "id": answer["id"], "result": {"action": "decline"}})
                answer = client.read()
            assert answer["id"] == request
            assert "error" not in answer, answer
            assert "Internal error" not in json.dumps(answer["result"])
            assert tokens(json.dumps(answer)) <= MAX_TOKENS

        vary()


def test_many_concurrent_calls_are_answered_correctly(environment: dict[str, str]) -> None:
    number = size(short=120, long=10_000)
    with raw(environment) as client:
        messages = [json.dumps(call(each, "dashboard_summary", {})).encode() for each in range(number)]
        writer = threading.Thread(target=client.write, args=messages)
        writer.start()
        answers = [client.read() for _ in range(number)]
        writer.join()
    assert {answer["id"] for answer in answers} == set(range(number))
    assert not [answer for answer in answers if answer["result"].get("isError")]


def test_a_client_that_never_reads_is_throttled(environment: dict[str, str]) -> None:
    """The pipe fills up, and then the writer waits: the server's memory doesn't grow with what is written."""
    # Long lines, so that few calls fill the pipe.
    line = json.dumps(call(1, "list_notifications", {"text": "x" * 200})).encode() + b" " * 4000 + b"\n"
    with raw(environment) as client:
        client.ask(call("warm", "list_notifications", {}))
        before = client.memory
        written = 0
        stdin = client._stdin.fileno()
        os.set_blocking(stdin, False)
        idle = threading.Event()
        refused = 0
        while written < 50_000_000 and refused < 20:
            try:
                written += os.write(stdin, line * 100)
                refused = 0
            except BlockingIOError:
                refused += 1
                idle.wait(0.05)
        grown = client.memory - before
        assert written < 5_000_000, "stdin was never held back"
        assert grown < 40_000_000
        os.set_blocking(stdin, True)
        reader = threading.Thread(target=lambda: [None for _ in iter(client._stdout.readline, b"")])
        reader.start()
        client.write(b"")
        client.close()
        reader.join()


HTTP = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def test_over_http_every_body_is_answered(environment: dict[str, str]) -> None:
    chance = random.Random(3)
    with serving(environment) as server, httpx2.Client(base_url=server.url, timeout=30) as client:
        opened = client.post("/mcp", json=INITIALIZE, headers=HTTP)
        client.headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
        client.headers["Mcp-Protocol-Version"] = VERSION
        client.post("/mcp", json=INITIALIZED, headers=HTTP)
        for line, request, code in LINES:
            answer = client.post("/mcp", content=line, headers=HTTP)
            assert answer.status_code < 500, (line, answer.text)
            assert answer.content, line
            if not line.startswith(b"["):
                body = _event(answer.text)
                assert body["id"] == request, line
                assert body.get("error", {}).get("code") == code, line
        for number, (tool, arguments, succeeds) in enumerate(TOOL_CALLS, 100):
            answer = client.post("/mcp", json=call(number, tool, arguments), headers=HTTP)
            body = _event(answer.text)
            assert bool(body["result"].get("isError")) is not succeeds
            assert tokens(answer.text) <= MAX_TOKENS
        for _ in range(20):
            garbage = chance.randbytes(chance.randrange(1, 200))
            assert 400 <= client.post("/mcp", content=garbage, headers=HTTP).status_code < 500


def _event(text: str) -> Json:
    """The JSON of a response, which may be an event of a stream."""
    data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    body: Json = json.loads(data[-1] if data else text)
    return body
