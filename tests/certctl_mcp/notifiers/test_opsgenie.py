from typing import Any

import pytest

from certctl_mcp.config.destinations import OpsGenieDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.opsgenie import OpsGenieNotifier
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver

KEY = "eb243592-faa2-4ba2-a551-1afdf565c889"


def notifier(client: HttpClient, receiver: Receiver, **settings: Any) -> OpsGenieNotifier:
    given = {"api_key": KEY, "api_url": f"{receiver.url}v2/alerts", **settings}
    return OpsGenieNotifier(OpsGenieDestination.model_validate(given), client)


async def test_an_alert_has_the_id_as_its_alias(client: HttpClient, receiver: Receiver) -> None:
    receiver.status = 202
    sent = notification(id="notif-17", certificate_id="mc-api")
    await notifier(client, receiver, priority="P1").send(sent)
    assert receiver.only.path == "/v2/alerts"
    assert receiver.only.headers["Authorization"] == f"GenieKey {KEY}"
    assert receiver.only.json == {
        "message": "ExpirationWarning: api.example.com expires in 7 days",
        "alias": "notif-17",
        "description": "api.example.com expires in 7 days",
        "priority": "P1",
        "source": "certctl",
        "entity": "mc-api",
        "details": {"notification_id": "notif-17", "recipient": "on-call", "certificate_id": "mc-api"},
    }


async def test_a_notification_without_a_certificate_has_no_entity(
    client: HttpClient, receiver: Receiver
) -> None:
    await notifier(client, receiver).send(notification())
    assert "entity" not in receiver.only.json
    assert "certificate_id" not in receiver.only.json["details"]


async def test_a_long_message_stays_within_opsgenies_limits(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(message="x" * 100_000, id="i" * 5000))
    assert len(receiver.only.json["message"]) == 130
    assert 14_900 < len(receiver.only.json["description"]) <= 15_000
    assert len(receiver.only.json["alias"]) <= 512


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, False), (403, False), (422, True), (429, False), (503, False)],
)
async def test_an_alert_with_a_refused_field_is_not_retried(
    client: HttpClient, receiver: Receiver, status: int, permanent: bool
) -> None:
    receiver.status = status
    receiver.body = '{"message": "Request body is not processable.", "took": 0.1, '
    receiver.body += '"errors": {"message": "Message can not be empty."}}'
    failure = await failure_of(notifier(client, receiver))
    assert failure.permanent is permanent
    assert "Request body is not processable." in str(failure)
