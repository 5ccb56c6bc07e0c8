"""Four thousand dead letters with different texts can be triaged in a few short calls."""

import asyncio

from mcp import Client

from certctl_mcp.config.settings import load_settings
from storage.database import Database
from storage.models import NewNotification, Room
from tests.builders import TOOK, Queue, SettableClock, new_notification
from tests.evaluation.assistant import Assistant
from tests.evaluation.night import CHANNELS
from tests.in_process_server import FakeNotifier, server

DEAD = 4_000


def a_bad_night(number: int) -> tuple[NewNotification, str]:
    """Two outages and a revoked key, with different text in every alert."""
    host = f"host-{number}.example.com"
    alert = new_notification(
        channel=("PagerDuty", "Slack", "Email")[number % 3],
        type=("ExpirationWarning", "RenewalFailure")[number % 2],
        certificate_id=f"mc-{number}",
        message=f"{host} expires in {number % 30} days: renew it before its clients turn away. " * 5,
    )
    error = (
        f"HTTP 503 from events.pagerduty.com: service unavailable, request {number:08x}",
        "HTTP 403 from hooks.slack.com: invalid_token",
        f"no answer from mail.example.com:587 within 30 s (message {number})",
    )[number % 3]
    return alert, error


async def test_the_night_is_triaged_in_three_short_calls(
    database: Database, queue: Queue, clock: SettableClock, database_url: str
) -> None:
    repository = queue.repository
    alerts = [a_bad_night(number) for number in range(DEAD)]
    accepted = await asyncio.gather(*(repository.accept(alert) for alert, _ in alerts))
    errors = {a.notification.id: error for a, (_, error) in zip(accepted, alerts, strict=True)}
    claims = await queue.claim_due(slots=DEAD, room=Room(DEAD))
    await asyncio.gather(
        *(repository.mark_as_dead(claim, TOOK, errors[claim.notification.id]) for claim in claims)
    )

    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    channels = {channel: FakeNotifier() for channel in CHANNELS}
    async with Client(server(database, clock, settings, channels)) as client:
        assistant = Assistant(client)
        diagnosis = await assistant.call("diagnose_dead_letters")
        preview = await assistant.call("requeue_notifications", channel="PagerDuty")
        done = await assistant.call(
            "requeue_notifications", channel="PagerDuty", confirmation=preview["confirmation"]
        )

    assert sum(group["dead"] for group in diagnosis["groups"]) == DEAD
    assert done["changed"] == 1334

    assert assistant.calls == 3
    assert assistant.tokens <= 2_000
