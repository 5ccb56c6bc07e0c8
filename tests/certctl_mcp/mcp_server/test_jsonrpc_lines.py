"""Every line from a client is passed on as a message, or answered under its id if it has one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from certctl_mcp.mcp_server.jsonrpc_lines import Batch, Entry, Rejection, read_message

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602


def read(line: bytes | object, *, batches: bool = False) -> Entry | Batch | None:
    written = line if isinstance(line, bytes) else json.dumps(line).encode()
    return read_message(written, batches=batches)


def call(**changes: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x"}, **changes}


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (call(), 7),
        (call(id="seven"), "seven"),
        (call(id=6.0), 6),
        (call(id=-1.0), -1),
        (call(id=10**30), 10**30),
        (b"\xef\xbb\xbf" + json.dumps(call()).encode(), 7),
        (b"  " + json.dumps(call()).encode() + b"\r", 7),
        (call(params={"name": "x", "arguments": {"text": "\ud800"}}), 7),
        (call(params={"\udfff": "x"}), 7),
        (call(extra=1), 7),
        (json.dumps(call()).replace("x", "\ufffd").encode().replace(b"\\ufffd", b"\xff"), 7),
    ],
)
def test_a_request_is_passed_on(line: object, request_id: object) -> None:
    message = read(line)
    assert isinstance(message, JSONRPCRequest)
    assert (message.id, type(message.id)) == (request_id, type(request_id))
    message.model_dump_json()


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    message = read(call(params={"text": "a\ud800b", "whole": "\U0001f600"}))
    assert isinstance(message, JSONRPCRequest)
    assert message.params == {"text": "a\ufffdb", "whole": "\U0001f600"}


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"hello", PARSE_ERROR, None),
        (b"\xff\xfe{}", PARSE_ERROR, None),
        (b'{"jsonrpc": "2.0", "id": 7', PARSE_ERROR, None),
        (b"[" * 100_000, PARSE_ERROR, None),
        (b'{"id": ' + b"9" * 5000 + b"}", PARSE_ERROR, None),
        (b"{}", INVALID_REQUEST, None),
        (b"7", INVALID_REQUEST, None),
        (b"null", INVALID_REQUEST, None),
        (b"[]", INVALID_REQUEST, None),
        (call(id=6.5), INVALID_REQUEST, 6.5),
        (call(id=None), INVALID_REQUEST, None),
        (call(id=True), INVALID_REQUEST, None),
        (call(id={"n": 1}), INVALID_REQUEST, None),
        (call(id=float("inf")), INVALID_REQUEST, None),
        (call(jsonrpc="1.0"), INVALID_REQUEST, 7),
        ({"id": 7, "method": "ping"}, INVALID_REQUEST, 7),
        (call(method=5), INVALID_REQUEST, 7),
        ({"jsonrpc": "2.0", "id": "a"}, INVALID_REQUEST, "a"),
        (call(params=[1]), INVALID_PARAMS, 7),
        (call(params="x", id=3.0), INVALID_PARAMS, 3),
    ],
)
def test_an_invalid_message_is_answered_with_an_error(line: object, code: int, request_id: object) -> None:
    rejection = read(line)
    assert isinstance(rejection, Rejection)
    assert rejection.reply is not None
    assert rejection.reply["id"] == request_id
    error = rejection.reply["error"]
    assert isinstance(error, dict)
    assert error["code"] == code
    assert error["message"].endswith(".")


@pytest.mark.parametrize("line", [b"", b"  ", b"\r", b"\xef\xbb\xbf"])
def test_a_blank_line_is_ignored(line: bytes) -> None:
    assert read(line) is None


def test_a_response_is_never_answered() -> None:
    assert isinstance(read({"jsonrpc": "2.0", "id": 1, "result": {}}), JSONRPCResponse)
    malformed = read({"jsonrpc": "2.0", "id": 1, "result": 5})
    assert isinstance(malformed, Rejection)
    assert malformed.reply is None


def test_a_notification_that_mentions_an_id_is_still_a_notification() -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"id": 1}}
    assert isinstance(read(note), JSONRPCNotification)


def test_a_batch_is_accepted_if_the_protocol_revision_has_batches() -> None:
    batch = read([call(id=1), call(id=6.5), {"jsonrpc": "2.0", "method": "notifications/x"}], batches=True)
    assert isinstance(batch, Batch)
    assert batch.answered_together
    assert [type(entry) for entry in batch.entries] == [JSONRPCRequest, Rejection, JSONRPCNotification]


@pytest.mark.parametrize(
    ("entries", "ids"), [([call(id=1), call(id="b"), 5], [1, "b"]), ([5, {}], [None]), ([call()] * 101, None)]
)
def test_in_other_revisions_each_request_of_a_batch_is_rejected(
    entries: list[object], ids: list[object] | None
) -> None:
    batch = read(entries)
    if ids is None:
        assert isinstance(batch, Rejection)
        return
    assert isinstance(batch, Batch)
    assert not batch.answered_together
    replies = [entry.reply for entry in batch.entries if isinstance(entry, Rejection)]
    assert [reply["id"] for reply in replies if reply] == ids


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON_VALUES,
        "id": JSON_VALUES,
        "method": st.sampled_from(["ping", "tools/call"]) | JSON_VALUES,
        "params": JSON_VALUES,
        "result": JSON_VALUES,
    },
)


@given(OBJECTS | JSON_VALUES, st.booleans())
def test_every_json_value_is_passed_on_or_answered(value: Any, batches: bool) -> None:
    read_value = read(value, batches=batches)
    assert read_value is not None
    if not isinstance(value, dict) or "result" in value or "error" in value:
        return
    given_id = value.get("id")
    if isinstance(given_id, str):
        given_id = given_id.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(given_id, int | str) and not isinstance(given_id, bool):
        if isinstance(read_value, Rejection):
            assert read_value.reply is not None
            assert read_value.reply["id"] == given_id
        else:
            assert isinstance(read_value, JSONRPCRequest)
            assert read_value.id == given_id


@given(st.binary(max_size=200))
def test_every_other_line_is_answered_unless_it_is_blank(line: bytes) -> None:
    line = line.replace(b"\n", b" ")
    found = read(line)
    if found is None:
        assert not line.decode(errors="replace").removeprefix("\ufeff").strip()
    elif isinstance(found, Rejection):
        assert found.reply is not None
