"""Which responses count as delivered: the status decides, whatever follows it and however TCP splits it."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from certctl_mcp.config.destinations import Channel
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.observed_connection import ObservedConnection
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.services.diagnosis.classification import classify
from tests.builders import notification
from tests.certctl_mcp.notifiers.receiver import Receiver
from tests.certctl_mcp.notifiers.scripted_server import serving
from tests.certctl_mcp.notifiers.test_refusals import HTTP_CHANNELS
from tests.exploration import size

NOISE: dict[str, bytes] = {
    "nothing more": b"\r\n\r\n",
    "no length": b"\r\nX: y\r\n\r\nok",
    "a long header": b"\r\nX: " + b"a" * 9_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "an endless header": b"\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a length in characters": b"\r\nContent-Length: two\r\n\r\nok",
    "two equal lengths": b"\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": b"\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "both lengths": b"\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a space in a header's name": b"\r\nX Y: z\r\nContent-Length: 2\r\n\r\nok",
    "a space before the colon": b"\r\nX : z\r\nContent-Length: 2\r\n\r\nok",
    "a bad chunk": b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "a bad chunk after a good one": b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
    "two servers": b"\r\nServer: a\r\nServer: b\r\nContent-Length: 2\r\n\r\nok",
    "more than its length": b"\r\nContent-Length: 2\r\n\r\nok and more",
    "an unfinished body": b"\r\nContent-Length: 100\r\n\r\nok",
    "an unfinished head": b"\r\nX",
    "a folded header": b"\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
}
BEGINNINGS = {
    "HTTP/1.1 200 OK": 200,
    "HTTP/1.1 204 No Content": 204,
    "HTTP/1.0 202 ": 202,
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK": 200,
    "HTTP/1.1 400 Bad Request": 400,
    "HTTP/1.1 503 No": 503,
}
TURNS = size(3, 1)
"""Each response is split at positions this far apart, the next response at those in between."""


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly waits for bodies and headers that never arrive."""
    monkeypatch.setattr("certctl_mcp.notifiers.http.endpoint._BODY_SECONDS", 0.005)


class SplitReads:
    """Passes received data to a connection in two parts, with an iteration of the event loop in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: int | None = None
        self.is_complete = False
        """Whether both parts have been passed on."""
        whole = ObservedConnection.data_received
        splitting = self

        def data_received(connection: ObservedConnection, data: bytes) -> None:
            at, splitting.at = splitting.at, None
            if at is None or at >= len(data):
                finish(connection, data)
                return
            whole(connection, data[:at])
            asyncio.get_running_loop().call_later(0, finish, connection, data[at:])

        def finish(connection: ObservedConnection, rest: bytes) -> None:
            splitting.is_complete = True
            whole(connection, rest)

        monkeypatch.setattr(ObservedConnection, "data_received", data_received)


@pytest.fixture
def splitting(monkeypatch: pytest.MonkeyPatch) -> Iterator[SplitReads]:
    with monkeypatch.context() as patch:
        yield SplitReads(patch)


def splits(answer: bytes, turn: int) -> list[int]:
    """Some of all positions in a short response, and in a long one of those near its boundaries."""
    if len(answer) < 300:
        positions = [*range(1, len(answer))]
    else:
        positions = [*range(1, 40), 4_000, 8_190, *range(len(answer) - 30, len(answer))]
    return positions[turn % TURNS :: TURNS]


async def outcome_of(endpoint: Endpoint, status: int) -> str:
    try:
        await endpoint.post(b"{}", {})
    except DeliveryFailedError as failure:
        sentence = str(failure).partition(f"answered {status}")[1]
        return f"{sentence} {failure.kind} {failure.permanent}"
    return f"answered {status}" if status < 300 else "delivered"


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("noise", NOISE)
async def test_a_response_has_the_same_outcome_however_it_is_split(
    monkeypatch: pytest.MonkeyPatch, client: HttpClient, splitting: SplitReads, noise: str
) -> None:
    if noise == "an unfinished head":
        monkeypatch.setattr("certctl_mcp.notifiers.http.failures.Timeouts.deadline", 0.02)
    answer = b""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"{}"):
                writer.write(answer)

    async with serving(play) as address:
        endpoint = Endpoint(client, f"http://{address}/", ())
        for turn, (beginning, status) in enumerate(BEGINNINGS.items()):
            answer = beginning.encode() + NOISE[noise]
            outcomes = set()
            for at in splits(answer, turn):
                splitting.is_complete = False
                # On a busy machine the response can miss the short deadline of one case.
                while not splitting.is_complete:
                    splitting.at = at
                    outcome = await outcome_of(endpoint, status)
                outcomes.add(outcome)
            assert len(outcomes) == 1, (beginning, outcomes)
            (outcome,) = outcomes
            assert f"answered {status}" in outcome


async def sent(destination: dict[str, Any]) -> DeliveryFailedError | None:
    """The failure of one send to this destination; None if it was delivered."""
    channel = Channel.model_validate({"name": "Alerts", "destination": destination})
    async with NotifierRegistry.open([channel], 10) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        try:
            await notifier.send(notification())
        except DeliveryFailedError as failure:
            return failure
    return None


PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to nginx!</body></html>"
EVERY = frozenset(HTTP_CHANNELS)
BODIES: list[tuple[str, str, frozenset[str]]] = [
    # With the channels for which it is a success.
    ("text/plain", "", EVERY),
    ("text/html", PAGE, frozenset({"webhook"})),
    ("text/plain", PAGE, frozenset({"webhook"})),
    ("text/plain", f"\ufeff<!-- a page -->{PAGE}", frozenset({"webhook"})),
    ("text/plain", "ok", frozenset({"webhook", "slack", "teams"})),
    ("text/plain", "1", frozenset({"webhook", "teams"})),
    ("application/json", '{"ok": true}', frozenset({"webhook", "slack", "teams"})),
    ("application/json", '{"ok": false, "error": "invalid_auth"}', frozenset({"webhook"})),
    (
        "application/json",
        '{"status": "success", "dedup_key": "n"}',
        frozenset({"webhook", "teams", "pagerduty"}),
    ),
    ("application/json", '{"success": false}', frozenset({"webhook"})),
    ("application/json", '{"statusCode": 401, "message": "no"}', frozenset({"webhook"})),
    ("application/json", '{"status": "invalid event"}', frozenset({"webhook", "teams"})),
    (
        "application/json",
        '{"result": "Request will be processed", "requestId": "1"}',
        frozenset({"webhook", "teams", "opsgenie"}),
    ),
    (
        "application/json",
        '{"message": "Key format is not valid!", "requestId": "1"}',
        frozenset({"webhook", "teams"}),
    ),
    (
        "text/plain",
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        frozenset({"webhook"}),
    ),
]


@pytest.mark.parametrize("channel", sorted(EVERY))
@pytest.mark.parametrize(("content_type", "body", "accepting"), BODIES)
async def test_a_2xx_is_a_success_only_as_documented_by_the_provider(
    receiver: Receiver, channel: str, content_type: str, body: str, accepting: frozenset[str]
) -> None:
    receiver.headers, receiver.body = {"Content-Type": content_type}, body
    failure = await sent(HTTP_CHANNELS[channel](receiver.url))
    assert (failure is None) is (channel in accepting)
    if failure is not None:
        assert str(failure).startswith(f"{receiver.host} answered 200 OK but not as ")
        assert not failure.permanent
        assert failure.of_channel
        assert classify(str(failure)) is failure.kind


UNFINISHED = [
    # With the channels for which its beginning is a success.
    ("", b"", EVERY),
    ("application/json", b'{"status": "suc', EVERY),
    ("text/plain", b"o", EVERY),
    ("text/html", b"<p>", frozenset({"webhook"})),
    ("text/plain", b"<html>", frozenset({"webhook"})),
]


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("channel", sorted(EVERY))
@pytest.mark.parametrize("broken_off", [False, True])
async def test_a_truncated_response_counts_unless_it_is_a_web_page(channel: str, broken_off: bool) -> None:
    for content_type, beginning, accepting in UNFINISHED:
        head = f"HTTP/1.1 202 Accepted\r\nContent-Type: {content_type}\r\nContent-Length: 9000\r\n\r\n"

        async def begin(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            answer: bytes = head.encode() + beginning,
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if broken_off:
                writer.write_eof()
            await reader.read()

        async with serving(begin) as address:
            failure = await sent(HTTP_CHANNELS[channel](f"http://{address}/"))
        assert (failure is None) is (channel in accepting), beginning


@pytest.mark.parametrize(
    ("settings", "status", "body", "objection"),
    [
        ({"success_status": [202]}, 202, "", None),
        ({"success_status": [202, 204]}, 200, "", "instead of 202, 204"),
        ({"success_json": {"ok": True}}, 200, '{"ok": true, "id": 1}', None),
        ({"success_json": {"ok": True}}, 200, '{"ok": false}', "without ok: true"),
        ({"success_json": {"ok": True}}, 200, "ok", "without ok: true"),
        ({"success_json": {"code": 0}}, 200, '{"code": 0}', None),
    ],
)
async def test_the_operator_can_configure_the_success_response_of_a_webhook(
    receiver: Receiver, settings: dict[str, Any], status: int, body: str, objection: str | None
) -> None:
    receiver.status, receiver.body = status, body
    failure = await sent({"kind": "webhook", "url": receiver.url, **settings})
    assert (failure is None) is (objection is None)
    if failure is not None and objection is not None:
        assert objection in str(failure)
        assert failure.kind is FailureKind.SETUP


async def test_credentials_repeated_without_their_scheme_are_redacted(receiver: Receiver) -> None:
    encoded = "YWRhOmNvcnJlY3QtaG9yc2U="
    receiver.status, receiver.body = 500, f"you sent {encoded}, which is ada:correct-horse or correct-horse"
    with_user = receiver.url.replace("://", "://ada:correct-horse@")
    for destination in (
        {"kind": "webhook", "url": with_user},
        {"kind": "webhook", "url": receiver.url, "headers": {"Authorization": f"Basic {encoded}"}},
    ):
        failure = await sent(destination)
        assert failure is not None
        assert encoded.rstrip("=") not in str(failure)
        assert "correct-horse" not in str(failure)
