from typing import Any

import pytest

from certctl_mcp.config.destinations import PagerDutyDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.pagerduty import PagerDutyNotifier
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver

KEY = "R0123456789abcdefcorrecthorse"


def notifier(client: HttpClient, receiver: Receiver, **settings: Any) -> PagerDutyNotifier:
    given = {"routing_key": KEY, "api_url": f"{receiver.url}v2/enqueue", **settings}
    return PagerDutyNotifier(PagerDutyDestination.model_validate(given), client)


async def test_an_event_triggers_with_the_id_as_its_dedup_key(client: HttpClient, receiver: Receiver) -> None:
    receiver.status = 202
    sent = notification(id="notif-17", certificate_id="mc-api")
    await notifier(client, receiver, severity="critical").send(sent)
    assert receiver.only.path == "/v2/enqueue"
    assert receiver.only.json == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "notif-17",
        "payload": {
            "summary": "ExpirationWarning: api.example.com expires in 7 days",
            "severity": "critical",
            "source": "mc-api",
            "timestamp": "2026-01-01T12:00:00+00:00",
            "class": "ExpirationWarning",
            "custom_details": {
                "notification_id": "notif-17",
                "certificate_id": "mc-api",
                "recipient": "on-call",
                "message": "api.example.com expires in 7 days",
            },
        },
    }


async def test_a_notification_without_a_certificate_has_certctl_as_its_source(
    client: HttpClient, receiver: Receiver
) -> None:
    await notifier(client, receiver).send(notification())
    assert receiver.only.json["payload"]["source"] == "certctl"


async def test_a_long_message_stays_within_pagerdutys_limits(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(message="\n" * 1_000_000))
    assert len(receiver.only.json["payload"]["summary"]) == 1024
    assert len(receiver.only.body) < 512 * 1024


@pytest.mark.parametrize(("status", "permanent"), [(400, True), (403, False), (429, False), (500, False)])
async def test_an_event_with_a_refused_field_is_not_retried(
    client: HttpClient, receiver: Receiver, status: int, permanent: bool
) -> None:
    receiver.status = status
    receiver.body = '{"status": "invalid event", "errors": ["\'payload.summary\' is missing or blank"]}'
    failure = await failure_of(notifier(client, receiver))
    assert failure.permanent is permanent
    assert "invalid event" in str(failure)
