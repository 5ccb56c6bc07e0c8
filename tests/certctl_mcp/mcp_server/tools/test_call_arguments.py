"""Every tool accepts the different spellings that models and hosts use for the same arguments."""

from pathlib import Path
from typing import Any

import pytest

from certctl_mcp.mcp_server.tools.call_arguments import ADDED_BY_HOSTS, read_arguments
from certctl_mcp.mcp_server.tools.catalog import catalog
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.storage.raw_sql import insert_row

SCHEMAS = {tool.name: tool.parameters for tool in catalog()}
OPTIONAL = [
    (name, argument)
    for name, schema in SCHEMAS.items()
    for argument in schema["properties"]
    if argument not in schema.get("required", ())
]


@pytest.mark.parametrize("absent", [None, "", "  "])
def test_null_and_empty_count_as_missing_for_every_optional_argument(absent: object) -> None:
    assert OPTIONAL
    for tool, argument in OPTIONAL:
        assert read_arguments({argument: absent}, SCHEMAS[tool]) == {}, (tool, argument)


@pytest.mark.parametrize("added", [*sorted(ADDED_BY_HOSTS), "_meta", "_anything"])
def test_arguments_added_by_hosts_are_dropped_and_misspelt_ones_are_kept(added: str) -> None:
    for schema in SCHEMAS.values():
        assert read_arguments({added: "x", "sttus": "dead"}, schema) == {"sttus": "dead"}


@pytest.mark.parametrize(
    ("tool", "given", "read"),
    [
        ("list_notifications", {"status": '["dead", "failed"]'}, {"status": ["dead", "failed"]}),
        ("list_notifications", {"status": "DEAD, failed"}, {"status": ["dead", "failed"]}),
        ("list_notifications", {"status": "null"}, {}),
        ("list_notifications", {"status": []}, {"status": []}),
        ("list_notifications", {"text": "null"}, {"text": "null"}),
        ("list_notifications", {"text": "[1, 2]"}, {"text": "[1, 2]"}),
        ("list_notifications", {"text": '{"a": 1}'}, {"text": '{"a": 1}'}),
        ("list_notifications", {"text": 503}, {"text": "503"}),
        ("list_notifications", {"form": "Detailed"}, {"form": "detailed"}),
        ("list_notifications", {"limit": " 5 "}, {"limit": "5"}),
        ("list_notifications", {"created_after": 1767225600}, {"created_after": "2026-01-01T00:00:00+00:00"}),
        (
            "list_notifications",
            {"created_after": "1767225600000"},
            {"created_after": "2026-01-01T00:00:00+00:00"},
        ),
        ("list_notifications", {"created_after": 24}, {"created_after": "24"}),
        ("requeue_notifications", {"ids": "a, b,c"}, {"ids": ["a", "b", "c"]}),
        ("requeue_notifications", {"ids": "[a, b]"}, {"ids": ["a", " b"]}),
        ("requeue_notifications", {"ids": ["a", "", None]}, {"ids": ["a"]}),
        ("get_notification", {"id": None}, {"id": None}),
    ],
)
def test_each_spelling_is_interpreted_as_intended(
    tool: str, given: dict[str, object], read: dict[str, object]
) -> None:
    found = read_arguments(given, SCHEMAS[tool])
    if isinstance(found.get("ids"), list):
        found = {"ids": [str(each).strip() for each in found["ids"]]}  # type: ignore[attr-defined]
        read = {"ids": [str(each).strip() for each in read["ids"]]}  # type: ignore[attr-defined]
    assert found == read


async def test_text_that_looks_like_json_is_used_as_text(assistant: Assistant, queue: Queue) -> None:
    await queue.dead(message="the value is null here")
    await queue.dead(message="something else")
    for text, total in (("null", 1), ("[1]", 0), ("true", 0)):
        assert (await assistant.call("list_notifications", text=text))["total"] == total
    assert (await assistant.call("requeue_notifications", text="null"))["would_change"] == 1
    for key in ("null", "[1]", '{"a": 1}'):
        sent = await assistant.call(
            "send_notification", type="T", channel="Webhook", message="m", idempotency_key=key
        )
        assert sent["created"]


async def test_all_unknown_arguments_are_named(assistant: Assistant) -> None:
    told = await assistant.refused("list_notifications", sttus="dead", chanel="x", toolCallId="1")
    assert "'sttus'" in told
    assert "'chanel'" in told
    assert "toolCallId" not in told
    assert "'channel'" in told


async def spellings(notification_id: str) -> list[str]:
    return [
        notification_id.upper(),
        f" `{notification_id}` ",
        f"certctl://notifications/{notification_id}",
        notification_id[-12:],
        notification_id[-8:],
    ]


async def test_ids_are_found_however_they_are_written(
    assistant: Assistant, queue: Queue, repository: NotificationRepository
) -> None:
    first, second = await queue.dead(), await queue.dead()
    for written in await spellings(first.id):
        assert (await assistant.call("get_notification", id=written))["notification"]["id"] == first.id
    assert (await assistant.call("get_notification", id=first.id[:32]))["notification"]["id"] == first.id
    joined = f"{first.id[-8:]},{second.id.upper()}"
    assert (await assistant.call("requeue_notifications", ids=joined))["would_change"] == 2
    requeued = await assistant.call("requeue_notification", id=first.id[-8:])
    assert requeued["id"] == first.id
    assert (await repository.get(first.id)).status is NotificationStatus.PENDING


async def test_an_ambiguous_shortened_id_is_refused(assistant: Assistant, database_path: Path) -> None:
    shared = "notif-01a22483"
    for rest in ("-0000-7000-8000-000000000001", "-0000-7000-8000-000000000002"):
        insert_row(database_path, id=shared + rest, status="dead")
    why = await assistant.refused("get_notification", id=shared)
    assert "matches several ids" in why
    assert why.count(shared) == 3


@pytest.mark.parametrize(
    ("argument", "given", "meant"),
    [
        ("recipient", "ops@exmple.com", "ops@example.com"),
        ("certificate_id", "mc-api-prd", "mc-api-prod"),
    ],
)
async def test_the_error_for_an_unused_value_suggests_a_similar_one(
    assistant: Assistant, queue: Queue, argument: str, given: str, meant: str
) -> None:
    await queue.dead(**{argument: meant})
    for tool in ("list_notifications", "requeue_notifications"):
        refused = await assistant.refused(tool, **{argument: given})
        assert refused.endswith(f'\n{{"untrusted":{{"did_you_mean":"{meant}"}}}}')
    arguments: dict[str, Any] = {argument: meant}
    assert (await assistant.call("list_notifications", **arguments))["total"] == 1
