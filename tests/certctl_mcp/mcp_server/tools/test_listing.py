"""`list_notifications`: the first step of triage."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import Queue, SettableClock
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.tokens import tokens


def ids(page: dict[str, Any]) -> list[str]:
    return [notification["id"] for notification in page["notifications"]]


async def test_a_row_separates_facts_from_untrusted_text(assistant: Assistant, queue: Queue) -> None:
    failed = await queue.failed("HTTP 503 from receiver.example", certificate_id="api")
    page = await assistant.call("list_notifications", form="detailed")
    assert page == {
        "total": 1,
        "notifications": [
            {
                "id": failed.id,
                "status": "failed",
                "created_at": "2026-01-01T12:00:00Z",
                "attempts": 1,
                "next_retry_at": "2026-01-01T12:01:00Z",
                "failure": "HTTP 503",
                "untrusted": {
                    "type": "ExpirationWarning",
                    "channel": "Webhook",
                    "recipient": "on-call",
                    "certificate_id": "api",
                    "message": "api.example.com expires in 7 days",
                    "last_error": "HTTP 503 from receiver.example",
                },
            }
        ],
    }
    assert json.loads(await assistant.text("list_notifications", form="detailed")) == page


async def test_a_concise_row_says_briefly_what_failed_and_why(assistant: Assistant, queue: Queue) -> None:
    failed = await queue.failed("HTTP 503 from receiver.example", certificate_id="api")
    assert await assistant.call("list_notifications") == {
        "total": 1,
        "notifications": [
            {
                "id": failed.id,
                "status": "failed",
                "created_at": "2026-01-01T12:00:00Z",
                "attempts": 1,
                "next_retry_at": "2026-01-01T12:01:00Z",
                "untrusted": {
                    "type": "ExpirationWarning",
                    "channel": "Webhook",
                    "message": "api.example.com expires in 7 days",
                    "last_error": "HTTP 503 from receiver.example",
                },
            }
        ],
    }


async def test_skipped_notifications_are_recognizable_in_both_forms(
    assistant: Assistant, queue: Queue
) -> None:
    delivered, undelivered = await queue.sent(), await queue.skipped("no notifier for it")
    for form in ("concise", "detailed"):
        rows = (await assistant.call("list_notifications", form=form))["notifications"]
        assert {row["id"]: row.get("sent_at") for row in rows} == {
            delivered.id: "2026-01-01T12:00:00Z",
            undelivered.id: None,
        }
    (row,) = (await assistant.call("list_notifications", text="no notifier", form="detailed"))[
        "notifications"
    ]
    assert row["untrusted"]["not_delivered_because"] == "no notifier for it"


async def test_a_concise_row_costs_about_a_hundred_tokens(assistant: Assistant, queue: Queue) -> None:
    for number in range(20):
        await queue.dead(
            f"hooks.example.com answered 503 Service Unavailable: upstream {number} did not respond in time",
            message=f"shop-{number}.example.com (mc-shop-{number}) expires in 7 days, on 2026-01-08.",
        )
    assert tokens(await assistant.text("list_notifications")) / 20 <= 110


async def test_long_texts_are_truncated_and_the_row_says_so(assistant: Assistant, queue: Queue) -> None:
    await queue.dead("e" * 200, message="m" * 1000)
    (row,) = (await assistant.call("list_notifications"))["notifications"]
    assert row["untrusted"]["message"] == "m" * 48
    assert row["cut"] == 952 + 140
    (row,) = (await assistant.call("list_notifications", form="detailed"))["notifications"]
    assert row["untrusted"]["message"] == "m" * 160
    assert row["cut"] == 840 + 40


async def test_one_or_several_statuses_can_be_requested(assistant: Assistant, queue: Queue) -> None:
    dead, sent = await queue.dead(), await queue.sent()
    await queue.failed()
    assert ids(await assistant.call("list_notifications", status="dead")) == [dead.id]
    several = await assistant.call("list_notifications", status=["dead", "sent"])
    assert set(ids(several)) == {dead.id, sent.id}


@pytest.mark.parametrize(
    "given",
    [
        {"channel": "Email"},
        {"type": "Revocation"},
        {"certificate_id": "wanted"},
        {"recipient": "wanted@example.com"},
        {"text": "WANTED"},
    ],
)
async def test_every_filter_narrows(assistant: Assistant, queue: Queue, given: dict[str, str]) -> None:
    await queue.dead()
    wanted = await queue.dead(
        channel="Email",
        type="Revocation",
        certificate_id="wanted",
        recipient="wanted@example.com",
        message="this is wanted",
    )
    assert ids(await assistant.call("list_notifications", **given)) == [wanted.id]


@pytest.mark.parametrize(
    "since", ["90m", "1h30m", "2026-01-01T12:30:00Z", "2026-01-01T12:30", "2026-01-01T13:30+01:00"]
)
async def test_points_in_time_are_iso_8601_or_ages(
    assistant: Assistant, queue: Queue, clock: SettableClock, since: str
) -> None:
    old = await queue.dead()
    clock.advance(timedelta(minutes=30))
    new = await queue.dead()
    clock.advance(timedelta(minutes=90))
    assert ids(await assistant.call("list_notifications", created_after=since)) == [new.id]
    assert ids(await assistant.call("list_notifications", created_before=since)) == [old.id]


@pytest.mark.parametrize("wrong", ["last week", "24", "2026", "-3h", "2026-13-01", "?", "9999999999999d"])
async def test_the_error_for_an_invalid_time_says_what_is_valid(assistant: Assistant, wrong: str) -> None:
    why = await assistant.refused("list_notifications", created_after=wrong)
    assert why.startswith(f"created_after: {wrong!r} is not a point in time")
    assert "24h" in why


@pytest.mark.parametrize(
    ("period", "why"),
    [
        (
            {"created_after": "1h", "created_before": "2h"},
            "is not before created_before, 2026-01-01T10:00:00Z",
        ),
        ({"created_after": "2026-01-01T12:00:01Z"}, "is in the future; it is now 2026-01-01T12:00:00Z"),
    ],
)
@pytest.mark.parametrize("tool", ["list_notifications", "diagnose_dead_letters", "requeue_notifications"])
async def test_an_empty_period_is_refused_instead_of_finding_nothing(
    assistant: Assistant, tool: str, period: dict[str, str], why: str
) -> None:
    assert why in await assistant.refused(tool, **period)


async def test_cursors_lead_through_all_pages(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    accepted = []
    for _ in range(5):
        accepted.append((await queue.dead()).id)
        clock.advance(timedelta(seconds=1))
    first = await assistant.call("list_notifications", limit=3)
    rest = await assistant.call("list_notifications", limit=3, cursor=first["next_cursor"])
    assert ids(first) + ids(rest) == accepted[::-1]
    assert first["total"] == rest["total"] == 5
    assert "next_cursor" not in rest


async def test_a_mistyped_channel_is_refused_instead_of_finding_nothing(assistant: Assistant) -> None:
    why = await assistant.refused("list_notifications", channel="webhok")
    assert "did you mean 'Webhook'?" in why


async def test_a_channel_that_is_no_longer_configured_can_be_filtered_by(
    assistant: Assistant, queue: Queue
) -> None:
    await queue.dead(channel="Fax")
    page = await assistant.call("list_notifications", channel="Fax", status="sent")
    assert page == {"total": 0, "notifications": []}


async def test_the_error_for_a_mistyped_type_suggests_the_nearest(assistant: Assistant) -> None:
    why = await assistant.refused("list_notifications", type="ExpirationWarnings")
    assert "did you mean 'ExpirationWarning'?" in why


async def test_the_total_is_that_of_the_filter_on_every_page(assistant: Assistant, queue: Queue) -> None:
    for _ in range(3):
        await queue.dead()
    await queue.sent()
    assert (await assistant.call("list_notifications", status="dead", limit=1))["total"] == 3
    await queue.dead()
    assert (await assistant.call("list_notifications", status="dead", limit=1))["total"] == 4


async def test_a_result_with_untrusted_text_is_marked_for_the_host(
    assistant: Assistant, queue: Queue
) -> None:
    async def label(**arguments: object) -> object:
        result = await assistant.client.call_tool("list_notifications", arguments)
        return (result.meta or {}).get("annotations")

    assert await label() is None
    await queue.dead(certificate_id="mc-api-prod")
    assert await label() == {"openWorldHint": True}
    # A similar name is suggested, which is untrusted text as well.
    assert await label(certificate_id="mc-api-prd") == {"openWorldHint": True}
