"""Sending, requeueing, marking as read and retrying: what each does and refuses."""

from datetime import timedelta

import pytest
from mcp import Client

from certctl_mcp.config.settings import load_settings
from storage.database import Database
from storage.models import AuditAction, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.in_process_server import FakeNotifier, server

ALERT = {"type": "ExpirationWarning", "channel": "Webhook", "message": "api.example.com expires in 7 days"}


async def test_a_sent_notification_is_accepted_and_then_delivered(
    assistant: Assistant, webhook: FakeNotifier
) -> None:
    accepted = await assistant.call("send_notification", **ALERT, recipient="on-call", certificate_id="api")
    assert accepted["status"] == "pending"
    assert accepted["created"] is True
    await assistant.call("retry_due_notifications")
    (delivered,) = webhook.delivered
    assert (delivered.id, delivered.recipient, delivered.certificate_id) == (accepted["id"], "on-call", "api")


async def test_an_idempotency_key_is_accepted_once(assistant: Assistant) -> None:
    first = await assistant.call("send_notification", **ALERT, idempotency_key="once")
    again = await assistant.call("send_notification", **ALERT, idempotency_key="once")
    assert (again["id"], again["created"]) == (first["id"], False)
    why = await assistant.refused("send_notification", **ALERT | {"message": "other"}, idempotency_key="once")
    assert "use a new key" in why


async def test_notifications_can_be_sent_only_over_configured_channels(assistant: Assistant) -> None:
    why = await assistant.refused("send_notification", **ALERT | {"channel": "https://evil.example"})
    assert "Configured: Webhook." in why


async def test_text_that_no_database_can_store_is_refused(assistant: Assistant) -> None:
    why = await assistant.refused("send_notification", **ALERT | {"message": "nul\0"})
    assert why == "message: must not contain the NUL character, which databases can't store"


async def test_a_dead_notification_can_be_requeued_and_delivered(
    assistant: Assistant, queue: Queue, webhook: FakeNotifier
) -> None:
    dead = await queue.dead()
    requeued = await assistant.call("requeue_notification", id=dead.id)
    assert requeued == {
        "id": dead.id,
        "status": "pending",
        "next": "Attempted at once, up to 5 times before it is dead.",
    }
    await assistant.call("retry_due_notifications")
    assert [delivered.id for delivered in webhook.delivered] == [dead.id]


async def test_requeueing_for_an_unconfigured_channel_warns_that_nothing_delivers_it(
    assistant: Assistant, queue: Queue
) -> None:
    dead = await queue.dead(channel="Fax")
    requeued = await assistant.call("requeue_notification", id=dead.id)
    assert requeued["next"].startswith("No running process delivers over its channel")


async def test_requeued_into_a_paused_channel_it_is_said_to_wait(assistant: Assistant, queue: Queue) -> None:
    dead = await queue.dead(channel="Webhook")
    await assistant.call("pause_channel", channel="Webhook", until="2h", reason="maintenance")
    requeued = await assistant.call("requeue_notification", id=dead.id)
    assert "later: its channel is paused until" in requeued["next"]
    shown = await assistant.call("get_notification", id=dead.id)
    assert "but its channel is paused until" in shown["account"]


async def test_sent_over_a_paused_channel_it_is_said_to_wait(assistant: Assistant) -> None:
    assert "next" not in await assistant.call("send_notification", **ALERT)
    await assistant.call("pause_channel", channel="Webhook", until="2h", reason="maintenance")
    waiting = await assistant.call("send_notification", **ALERT)
    assert "later: its channel is paused until" in waiting["next"]


async def test_the_error_for_a_conflict_names_the_status(assistant: Assistant, queue: Queue) -> None:
    sent = await queue.sent()
    why = await assistant.refused("requeue_notification", id=sent.id)
    assert f"{sent.id!r} is sent: only dead, failed and undelivered notifications can be requeued" in why


async def test_marking_as_read_says_whether_the_notification_was_delivered(
    assistant: Assistant, queue: Queue, repository: NotificationRepository
) -> None:
    sent, dead = await queue.sent(), await queue.dead()
    assert "It had been delivered." in (await assistant.call("mark_notification_read", id=sent.id))["next"]
    assert "will not be delivered" in (await assistant.call("mark_notification_read", id=dead.id))["next"]
    assert (await repository.get(dead.id)).status is NotificationStatus.READ


@pytest.mark.parametrize("tool", ["requeue_notification", "mark_notification_read"])
async def test_a_notification_being_attempted_is_left_alone(
    assistant: Assistant, queue: Queue, tool: str
) -> None:
    claim = await queue.claimed()
    assert "wait for its outcome" in await assistant.refused(tool, id=claim.notification.id)


async def test_a_sweep_reports_its_outcomes(
    assistant: Assistant, queue: Queue, clock: SettableClock, webhook: FakeNotifier
) -> None:
    webhook.refusal = "HTTP 503"
    await queue.failed()
    clock.advance(timedelta(minutes=1))
    report = await assistant.call("retry_due_notifications")
    assert report == {"sent": 0, "failed": 1, "dead": 0, "still_under_way": 0}


async def test_a_test_message_is_delivered_at_once_and_not_stored(
    assistant: Assistant, webhook: FakeNotifier, repository: NotificationRepository
) -> None:
    tested = await assistant.call("send_test_notification", channel="Webhook", recipient="on-call")
    assert tested["delivered"] is True
    (delivered,) = webhook.delivered
    assert (delivered.type, delivered.recipient) == ("ChannelTest", "on-call")
    assert delivered.message.startswith(
        "This is a test of the channel Webhook by certctl-mcp, sent 2026-01-01 12"
    )
    assert sum((await repository.count_by_status()).values()) == 0


async def test_a_test_message_is_audited_like_a_send(
    assistant: Assistant, repository: NotificationRepository
) -> None:
    await assistant.call("send_test_notification", channel="Webhook")
    (entry,) = await repository.audit_log(limit=5)
    assert entry.action is AuditAction.TEST
    assert entry.notification_id.startswith("notif-")
    assert entry.actor


async def test_a_failed_test_message_has_its_reason_and_is_not_retried(
    assistant: Assistant, webhook: FakeNotifier, repository: NotificationRepository
) -> None:
    webhook.refusal = (
        "HTTP 401 from https://hooks.slack.com/services/T0000000/B0000000/s3cr3tT0kens3cr3tT0ken00"
    )
    tested = await assistant.call("send_test_notification", channel="Webhook")
    assert tested["delivered"] is False
    assert "HTTP 401 from" in tested["untrusted"]["error"]
    assert "s3cr3tT0ken" not in tested["untrusted"]["error"]
    assert sum((await repository.count_by_status()).values()) == 0


async def test_only_configured_channels_can_be_tested(assistant: Assistant) -> None:
    why = await assistant.refused("send_test_notification", channel="webhok")
    assert "did you mean 'Webhook'?" in why
    why = await assistant.refused("send_test_notification", channel="Webhook", recipient="nul\0")
    assert why == "recipient: must not contain the NUL character, which databases can't store"


@pytest.mark.parametrize(
    ("patterns", "allowed", "refused"),
    [
        ("", "ops@example.com", "ops@example.org"),
        ("*@example.org", "Ops <ops@example.org>", "ops@example.com"),
        ("ops@example.org, *@mail.example.org", "a@mail.example.org; ops@example.org", "eve@example.org"),
    ],
)
async def test_email_is_sent_only_to_recipients_that_the_operator_allows(
    database: Database,
    clock: SettableClock,
    database_url: str,
    repository: NotificationRepository,
    patterns: str,
    allowed: str,
    refused: str,
) -> None:
    environ = {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_SMTP_HOST": "mail.example.com",
        "CERTCTL_SMTP_FROM_ADDRESS": "Certs <certs@example.com>",
        "CERTCTL_SMTP_RECIPIENTS": patterns,
    }
    mails = FakeNotifier()
    async with Client(server(database, clock, load_settings(None, environ), {"Email": mails})) as client:
        assistant = Assistant(client)
        alert = ALERT | {"channel": "Email"}
        for tool, arguments in (
            ("send_notification", alert),
            ("send_test_notification", {"channel": "Email"}),
        ):
            for recipient in (refused, f"{allowed}, {refused}"):
                why = await assistant.refused(tool, **arguments, recipient=recipient)
                assert "mail over Email may only go to " in why
                assert "CERTCTL_SMTP_RECIPIENTS" in why
            assert mails.delivered == []
            assert await repository.audit_log(limit=5) == ()
        await assistant.call("send_test_notification", channel="Email", recipient=allowed)
        await assistant.call("send_notification", **alert, recipient=allowed)
        await assistant.call("retry_due_notifications")
    assert [mail.recipient for mail in mails.delivered] == [allowed, allowed]
