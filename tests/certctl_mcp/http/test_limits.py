"""Limits on each caller: bytes, time and requests."""

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from certctl_mcp.http.limits import MAX_KEYS, BodyLimit, TokenBuckets
from certctl_mcp.http.problem_details import new_request_id
from tests.certctl_mcp.http.conftest import KEYS, OPERATOR, READER, Serve, Served
from tests.certctl_mcp.http.test_mcp import MODERN, MODERN_HEADERS, post

LIST = "/api/v1/notifications"


async def test_a_body_that_is_declared_too_large_is_refused(serve: Serve) -> None:
    served = await serve(CERTCTL_MAX_BODY_SIZE="2048")
    async with served.client() as client:
        refused = await client.post(LIST, json={"message": "x" * 3000})
        assert refused.status_code == 413
        assert refused.json()["message"] == "The body is too large; the limit is 2048 bytes."
        at_mcp = await client.post("/mcp", json={"message": "x" * 3000})
        assert at_mcp.status_code == 413


async def test_a_body_that_turns_out_to_be_too_large_is_refused(serve: Serve) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    served = await serve(CERTCTL_MAX_BODY_SIZE="2048")
    async with served.client(**{"Content-Type": "application/json"}) as client:
        refused = await client.post(LIST, content=parts())
    assert refused.status_code == 413


MANY = {f"unknown key {number}": number for number in range(40_000)}


@pytest.mark.parametrize(
    "params",
    [
        {"name": "list_notifications", "arguments": MANY},
        {"name": "list_notifications", "arguments": {"status": list(MANY)}},
        {"name": "requeue_notifications", "arguments": {"ids": list(MANY)}},
        {"name": "list_notifications", "arguments": list(MANY)},
        {"name": MANY},
        MANY,
    ],
    ids=["unknown arguments", "wrong items", "too many items", "not an object", "no name", "no call"],
)
async def test_the_response_to_a_large_invalid_call_is_short(
    served: Served, params: dict[str, object]
) -> None:
    call = MODERN | {"method": "tools/call", "params": params | {"_meta": MODERN["params"]["_meta"]}}
    headers = MODERN_HEADERS | {"mcp_method": "tools/call", "mcp_name": str(params.get("name"))[:30]}
    async with served.client(OPERATOR) as client:
        answered = await post(client, call, **headers)
    assert len(answered.content) < 3_000
    assert answered.status_code == 400 or answered.json()["result"]["isError"]


async def test_the_longest_message_fits_into_the_largest_body(served: Served) -> None:
    new = {"type": "T" * 255, "channel": "Webhook", "message": "x" * 1_000_000}
    async with served.client(OPERATOR) as client:
        assert (await client.post(LIST, json=new)).status_code == 201


async def test_a_body_that_never_arrives_times_out() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("nothing is served without its body")

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, object] = {"type": "http", "method": "POST", "path": LIST, "headers": []}
    new_request_id(scope)
    await BodyLimit(app, 2048, timedelta(milliseconds=10))(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_only_a_caller_with_too_many_requests_must_wait(serve: Serve) -> None:
    served = await serve(
        CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_RATE_LIMIT_RPS="0.001", CERTCTL_RATE_LIMIT_BURST="2"
    )
    async with served.client(OPERATOR) as client, served.client(OPERATOR, "192.0.2.9") as elsewhere:
        assert [(await client.get(LIST)).status_code for _ in range(2)] == [200, 200]
        refused = await elsewhere.get(LIST)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
    async with served.client(READER) as other:
        assert (await other.get(LIST)).status_code == 200


async def test_without_keys_requests_are_limited_by_address(serve: Serve) -> None:
    served = await serve(CERTCTL_RATE_LIMIT_RPS="0.001", CERTCTL_RATE_LIMIT_BURST="1")
    async with served.client() as client, served.client(address="::ffff:127.0.0.1") as same:
        assert (await client.get(LIST)).status_code == 200
        assert (await same.get(LIST)).status_code == 429
    async with served.client(address="127.0.0.2") as other:
        assert (await other.get(LIST)).status_code == 200


def test_a_bucket_refills_up_to_its_size() -> None:
    now = 0.0
    buckets = TokenBuckets(2, 3, lambda: now)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now += 100
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_the_number_of_buckets_is_limited() -> None:
    buckets = TokenBuckets(0.001, 1, lambda: 0.0)
    buckets.take("first")
    for number in range(MAX_KEYS - 1):
        buckets.take(str(number))
    assert buckets.wait("first") > 0
    buckets.take("one more")
    buckets.take("and another")
    assert buckets.wait("0") == 0
    assert buckets.wait("first") > 0
