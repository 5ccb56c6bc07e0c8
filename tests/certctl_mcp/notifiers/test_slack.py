from typing import Any

import pytest

from certctl_mcp.config.destinations import SlackDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.slack import SlackNotifier
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver


def notifier(client: HttpClient, receiver: Receiver, **settings: Any) -> SlackNotifier:
    url = f"{receiver.url}services/T0000/B0000/correcthorsebattery"
    return SlackNotifier(SlackDestination.model_validate({"webhook_url": url, **settings}), client)


async def test_type_message_and_certificate_are_shown_as_plain_text(
    client: HttpClient, receiver: Receiver
) -> None:
    sent = notification(message="*.example.com expires", certificate_id="mc_api_prod")
    await notifier(client, receiver).send(sent)
    assert receiver.only.path == "/services/T0000/B0000/correcthorsebattery"
    assert receiver.only.json["text"] == "ExpirationWarning: *.example.com expires\nCertificate: mc_api_prod"
    assert receiver.only.json["mrkdwn"] is False


async def test_an_ampersand_is_escaped_once(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(message="a & b &lt;"))
    assert receiver.only.json["text"].endswith("a &amp; b &amp;lt;")


async def test_channel_and_name_come_from_the_settings_rather_than_the_recipient(
    client: HttpClient, receiver: Receiver
) -> None:
    slack = notifier(client, receiver, channel="#certs", username="certctl")
    await slack.send(notification(recipient="#general"))
    assert receiver.only.json["channel"] == "#certs"
    assert receiver.only.json["username"] == "certctl"


async def test_without_overrides_the_defaults_of_the_webhook_apply(
    client: HttpClient, receiver: Receiver
) -> None:
    await notifier(client, receiver).send(notification())
    assert not {"channel", "username"} & receiver.only.json.keys()


async def test_the_id_is_sent_as_idempotency_key(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(id="notif-17"))
    assert receiver.only.headers["Idempotency-Key"] == "notif-17"


@pytest.mark.parametrize(
    ("status", "said", "permanent"),
    [
        (400, "invalid_payload", True),
        (403, "action_prohibited", False),
        (404, "channel_not_found", False),
        (410, "channel_is_archived", False),
        (400, "user_not_found", False),
        (429, "rate_limited", False),
        (500, "rollup_error", False),
    ],
)
async def test_the_response_of_slack_decides(
    client: HttpClient, receiver: Receiver, status: int, said: str, permanent: bool
) -> None:
    receiver.status, receiver.body = status, said
    failure = await failure_of(notifier(client, receiver))
    assert failure.permanent is permanent
    assert str(failure).endswith(f": {said}")
