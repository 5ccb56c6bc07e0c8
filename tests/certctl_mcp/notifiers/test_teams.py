from typing import Any

import pytest

from certctl_mcp.config.destinations import TeamsDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.teams import TeamsNotifier
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver

PATH = "workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?sp=%2Frun&sig=correct-Horse_1"


def notifier(client: HttpClient, receiver: Receiver) -> TeamsNotifier:
    return TeamsNotifier(TeamsDestination.model_validate({"webhook_url": receiver.url + PATH}), client)


def texts(body: Any) -> list[str]:
    (attachment,) = body["attachments"]
    return [run["text"] for block in attachment["content"]["body"] for run in block["inlines"]]


@pytest.mark.parametrize("status", [200, 202])
async def test_a_card_is_posted_and_accepted_is_success(
    client: HttpClient, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    await notifier(client, receiver).send(notification(certificate_id="mc-api"))
    body = receiver.only.json
    assert receiver.only.path == f"/{PATH}"
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert attachment["content"]["version"] == "1.4"
    assert texts(body) == [
        "ExpirationWarning",
        "api.example.com expires in 7 days",
        "Certificate: mc-api",
    ]


async def test_markdown_in_a_message_is_literal(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(message="[bank](http://evil) **now**"))
    content = receiver.only.json["attachments"][0]["content"]
    assert {block["type"] for block in content["body"]} == {"RichTextBlock"}
    assert "[bank](http://evil) **now**" in texts(receiver.only.json)


@pytest.mark.parametrize("character", ["x", "ü", '"', "\n", "\U0001f512"])
async def test_a_card_stays_within_the_limit_of_teams(
    client: HttpClient, receiver: Receiver, character: str
) -> None:
    await notifier(client, receiver).send(notification(message=character * 200_000))
    assert len(receiver.only.body) < 28 * 1024
    assert texts(receiver.only.json)[1].endswith("more bytes cut]")


async def test_the_id_is_sent_as_idempotency_key(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver).send(notification(id="notif-17"))
    assert receiver.only.headers["Idempotency-Key"] == "notif-17"


async def test_a_disabled_flow_is_a_temporary_failure(client: HttpClient, receiver: Receiver) -> None:
    receiver.status, receiver.body = 400, '{"error": {"code": "WorkflowTriggerIsNotEnabled"}}'
    failure = await failure_of(notifier(client, receiver))
    assert not failure.permanent
    assert "WorkflowTriggerIsNotEnabled" in str(failure)
