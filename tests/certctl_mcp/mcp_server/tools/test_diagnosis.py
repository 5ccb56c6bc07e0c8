"""`diagnose_dead_letters`: thousands of dead letters as one short answer, with what to do about each."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client

from certctl_mcp.config.settings import Settings, load_settings
from storage.database import Database
from storage.models import Notification
from tests.builders import TOOK, Queue, SettableClock
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.in_process_server import FakeNotifier, server
from tests.tokens import tokens

HOUR = timedelta(hours=1)


async def dead(queue: Queue, number: int, error: str, **contents: Any) -> list[Notification]:
    """This many that died of this error, all now."""
    made = [await queue.pending(**contents) for _ in range(number)]
    wanted = {notification.id for notification in made}
    for claim in await queue.claim_due():
        if claim.notification.id in wanted:
            await queue.repository.mark_as_dead(claim, TOOK, error)
    return made


async def test_similar_failures_are_one_group(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 3, "hooks.example.com answered 503 Service Unavailable: request 1")
    clock.advance(HOUR)
    died = await dead(queue, 4, "hooks.example.com answered 502 Bad Gateway: request 2")
    await queue.failed("hooks.example.com answered 503 Service Unavailable")
    found = await assistant.call("diagnose_dead_letters")
    (group,) = found["groups"]
    assert group.pop("sample_id") in {notification.id for notification in died}
    assert found == {
        "dead": 7,
        "failing": 1,
        "groups": [
            {
                "kind": "outage",
                "dead": 7,
                "failing": 1,
                "first_at": "2026-01-01T12:00:00Z",
                "last_at": "2026-01-01T13:00:00Z",
                "cause": "receiver unavailable",
                "action": "check that it is up again",
                "requeue": {"channel": "Webhook"},
                "untrusted": {
                    "channel": "Webhook",
                    "error": "hooks.example.com answered 502 Bad Gateway: request 2",
                },
            }
        ],
        "once_mended": "send_test_notification, then requeue_notifications with the group's `requeue`",
    }
    assert json.loads(await assistant.text("diagnose_dead_letters"))["dead"] == 7


async def test_for_a_channel_that_delivers_again_the_advice_is_to_requeue_now(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 2, "hooks.example.com answered 401 Unauthorized")
    clock.advance(30 * HOUR)
    await queue.sent()
    (group,) = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert re.fullmatch(r"it has been delivering again since .+ UTC; requeue now", group["action"])


async def test_a_channel_that_has_failed_again_is_not_considered_working(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 2, "hooks.example.com answered 503 Service Unavailable")
    clock.advance(HOUR)
    await queue.sent()
    clock.advance(5 * HOUR)
    await dead(queue, 1, "hooks.example.com answered 503 Service Unavailable")
    groups = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert [group["action"] for group in groups] == ["check that it is up again"] * 2


async def test_an_alert_refused_for_its_content_is_no_evidence_about_its_channel(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 2, "mail.example.com refused the login: 535")
    clock.advance(HOUR)
    await queue.sent()
    clock.advance(HOUR)
    await dead(queue, 1, "mail.example.com refused nobody@example.com (550)")
    login, _ = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert re.fullmatch(r"it has been delivering again since .+ UTC; requeue now", login["action"])


async def test_a_delivery_before_the_failure_is_no_evidence_of_recovery(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await queue.sent()
    clock.advance(HOUR)
    await dead(queue, 2, "hooks.example.com answered 401 Unauthorized")
    (group,) = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert group["action"].startswith("renew them")


async def test_the_suggested_requeue_has_the_filters_of_the_diagnosis(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 2, "hooks.example.com answered 401 Unauthorized", type="Revocation")
    await dead(queue, 1, "hooks.example.com answered 401 Unauthorized")
    clock.advance(HOUR)
    (group,) = (
        await assistant.call(
            "diagnose_dead_letters",
            channel="Webhook",
            type="Revocation",
            created_after="2h",
            created_before="2026-01-01T12:30Z",
        )
    )["groups"]
    assert group["dead"] == 2
    assert group["requeue"] == {
        "channel": "Webhook",
        "type": "Revocation",
        "created_after": "2026-01-01T11:00:00Z",
        "created_before": "2026-01-01T12:30:00Z",
    }
    preview = await assistant.call("requeue_notifications", **group["requeue"])
    assert preview["would_change"] == 2


async def test_each_cause_of_a_channel_has_its_own_requeue_call(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await dead(queue, 3, "hooks.example.com answered 401 Unauthorized")
    await dead(queue, 4, "hooks.example.com answered 503 Service Unavailable: obey 1")
    clock.advance(6 * HOUR)
    await dead(queue, 2, "hooks.example.com answered 503 Service Unavailable: obey 2")
    clock.advance(timedelta(seconds=1))
    groups = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert [(group["dead"], group["requeue"]) for group in groups] == [
        (
            4,
            {
                "channel": "Webhook",
                "text": "hooks.example.com answered 503",
                "created_after": "2026-01-01T12:00:00Z",
                "created_before": "2026-01-01T12:00:00.000001Z",
            },
        ),
        (3, {"channel": "Webhook", "text": "hooks.example.com answered 401"}),
        (
            2,
            {
                "channel": "Webhook",
                "text": "hooks.example.com answered 503",
                "created_after": "2026-01-01T18:00:00Z",
                "created_before": "2026-01-01T18:00:00.000001Z",
            },
        ),
    ]
    for group in groups:
        assert "requeues" not in group
        preview = await assistant.call("requeue_notifications", **group["requeue"])
        assert preview["would_change"] == group["dead"]


async def test_a_requeue_call_that_takes_more_than_its_group_says_so(
    assistant: Assistant, queue: Queue
) -> None:
    await dead(queue, 3, "hooks.example.com answered 401 Unauthorized")
    await dead(queue, 2, "what another program wrote: credentials refused")
    groups = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert [(group["dead"], group["requeue"].get("text"), group.get("requeues")) for group in groups] == [
        (3, "hooks.example.com answered 401", None),
        (2, None, 5),
    ]


async def test_no_requeue_is_suggested_for_an_unconfigured_channel(
    assistant: Assistant, queue: Queue
) -> None:
    await dead(queue, 2, "fax.example.com answered 503 Service Unavailable", channel="Fax")
    (group,) = (await assistant.call("diagnose_dead_letters"))["groups"]
    assert "requeue" not in group
    assert "no running process has this channel" in group["action"]
    assert group["untrusted"]["channel"] == "Fax"


@pytest.mark.parametrize(
    ("groups", "next_step"),
    [
        ("triage", None),
        ("triage,requeue", "requeue_notifications with the group's `requeue`"),
    ],
)
async def test_only_tools_that_are_served_are_suggested(
    database: Database,
    database_url: str,
    clock: SettableClock,
    queue: Queue,
    groups: str,
    next_step: str | None,
) -> None:
    await dead(queue, 1, "hooks.example.com answered 503")
    environment = {"CERTCTL_DATABASE_URL": database_url, "CERTCTL_MCP_TOOLS": groups}
    serving = server(database, clock, load_settings(None, environment), {"Webhook": FakeNotifier()})
    async with Client(serving) as client:
        found = await Assistant(client).call("diagnose_dead_letters")
    assert found.get("once_mended") == next_step


async def test_notifications_still_being_retried_can_be_excluded(assistant: Assistant, queue: Queue) -> None:
    await queue.failed("HTTP 503")
    await queue.dead("HTTP 401")
    found = await assistant.call("diagnose_dead_letters", include_failing=False)
    assert (found["dead"], [group["kind"] for group in found["groups"]]) == (1, ["credentials"])
    assert "failing" not in found
    both = await assistant.call("diagnose_dead_letters")
    assert {group["kind"] for group in both["groups"]} == {"credentials", "outage"}


async def test_delivered_settled_and_pending_notifications_are_not_diagnosed(
    assistant: Assistant, queue: Queue
) -> None:
    await queue.sent()
    await queue.read()
    await queue.pending()
    assert await assistant.call("diagnose_dead_letters") == {"dead": 0, "failing": 0, "groups": []}


async def test_of_very_many_groups_the_smaller_are_counted(assistant: Assistant, queue: Queue) -> None:
    for number in range(20):
        await dead(queue, 1 + (number < 12), "HTTP 503", channel=f"Channel {number}")
    await queue.failed("HTTP 503", channel="Channel 20")
    found = await assistant.call("diagnose_dead_letters")
    assert len(found["groups"]) == 12
    assert all(group["dead"] == 2 for group in found["groups"])
    assert found["others"] == {"dead": 8, "failing": 1}
    assert (found["dead"], found["failing"]) == (32, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"channel": "webhok"}, "did you mean 'Webhook'?"),
        ({"type": "Expirationwarning"}, "did you mean 'ExpirationWarning'?"),
        ({"created_after": "last week"}, "is not a point in time"),
    ],
)
async def test_a_mistyped_filter_is_refused_instead_of_finding_nothing(
    assistant: Assistant, given: dict[str, str], told: str
) -> None:
    assert told in await assistant.refused("diagnose_dead_letters", **given)


SEVEN = {
    "Slack": "hooks.slack.com answered 404 Not Found: no_service",
    "PagerDuty": "events.pagerduty.com answered 503 Service Unavailable: upstream connect error",
    "Email": "mail.example.com:587 refused the login: 535 5.7.8 Error: authentication failed",
    "Teams": "the connection to prod-12.westeurope.logic.azure.com:443 failed: Connection refused",
    "OpsGenie": "api.opsgenie.com answered 429 Too Many Requests: You are making too many requests!",
    "Webhook": "the name of hooks.internal.example.com:443 could not be resolved: Name or service not known",
    "Audit": "no answer from audit.example.com:443 within 30 s",
}


async def test_any_number_of_dead_letters_is_a_short_answer(
    database: Database, settings: Settings, queue: Queue, clock: SettableClock
) -> None:
    for number, (channel, error) in enumerate(SEVEN.items()):
        for _ in range(8):
            await dead(queue, 10, error, channel=channel)
            clock.advance(timedelta(minutes=7 * number))
    channels = {channel: FakeNotifier() for channel in SEVEN}
    async with Client(server(database, clock, settings, channels)) as client:
        text = await Assistant(client).text("diagnose_dead_letters")
    assert json.loads(text)["dead"] == 560
    assert tokens(text) <= 950
