"""Which refusals are permanent failures on each channel: only those about the alert itself."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from certctl_mcp.config.destinations import Channel
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.services.diagnosis.classification import classify
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver
from tests.certctl_mcp.notifiers.relay import Relay, relaying

HTTP_CHANNELS: dict[str, Callable[[str], dict[str, Any]]] = {
    "webhook": lambda url: {"kind": "webhook", "url": url},
    "slack": lambda url: {"kind": "slack", "webhook_url": url},
    "teams": lambda url: {"kind": "teams", "webhook_url": url},
    "pagerduty": lambda url: {"kind": "pagerduty", "routing_key": "R" * 32, "api_url": url},
    "opsgenie": lambda url: {"kind": "opsgenie", "api_key": "hidden-key", "api_url": url},
}


def pagerduty(*errors: str) -> str:
    return json.dumps(
        {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}
    )


def opsgenie(**errors: str) -> str:
    return json.dumps({"message": "Request body is not processable.", "errors": errors, "took": 0.1})


HTTP_ANSWERS: list[tuple[str, int, str, FailureKind]] = [
    ("pagerduty", 400, pagerduty("Length of 'routing_key' is incorrect"), FailureKind.CREDENTIALS),
    ("pagerduty", 400, pagerduty("Invalid routing key"), FailureKind.CREDENTIALS),
    ("pagerduty", 400, pagerduty("'payload.severity' is invalid"), FailureKind.SETUP),
    ("pagerduty", 400, pagerduty("'payload.summary' is missing or blank"), FailureKind.REFUSED),
    ("pagerduty", 400, pagerduty("Length of 'dedup_key' is incorrect"), FailureKind.REFUSED),
    (
        "pagerduty",
        400,
        pagerduty("'payload.summary' is missing or blank", "Invalid routing key"),
        FailureKind.CREDENTIALS,
    ),
    ("pagerduty", 400, "", FailureKind.REQUEST),
    ("pagerduty", 402, "payment required", FailureKind.CREDENTIALS),
    ("opsgenie", 422, '{"message": "Key format is not valid!", "took": 0.001}', FailureKind.CREDENTIALS),
    ("opsgenie", 422, opsgenie(message="Message can not be empty."), FailureKind.REFUSED),
    ("opsgenie", 422, opsgenie(priority="Priority should be one of"), FailureKind.SETUP),
    ("opsgenie", 400, "", FailureKind.REQUEST),
    ("slack", 400, "user_not_found", FailureKind.GONE),
    ("slack", 400, "invalid_token", FailureKind.CREDENTIALS),
    ("slack", 400, "no_text", FailureKind.REFUSED),
    ("slack", 400, "invalid_payload", FailureKind.REFUSED),
    ("slack", 400, "missing_text_or_fallback_or_attachments", FailureKind.REFUSED),
    ("slack", 400, "token_is_inactive", FailureKind.CREDENTIALS),
    ("slack", 404, "no_service", FailureKind.GONE),
    ("slack", 410, "channel_is_archived", FailureKind.GONE),
    ("teams", 400, '{"error": {"code": "WorkflowTriggerIsNotEnabled"}}', FailureKind.GONE),
    ("teams", 400, "Bad payload received by generic incoming webhook.", FailureKind.REQUEST),
    ("webhook", 400, "nonsense", FailureKind.REQUEST),
    ("webhook", 400, "message is too long", FailureKind.REFUSED),
    ("webhook", 400, "bad signature: message is missing webhook-signature", FailureKind.CREDENTIALS),
    ("webhook", 422, "", FailureKind.REQUEST),
    ("webhook", 451, "", FailureKind.UNKNOWN),
    *((channel, 401, "no_text", FailureKind.CREDENTIALS) for channel in HTTP_CHANNELS),
    *((channel, 413, "", FailureKind.REFUSED) for channel in HTTP_CHANNELS),
    *((channel, 503, "payload.summary", FailureKind.OUTAGE) for channel in HTTP_CHANNELS),
]


async def refusal(destination: dict[str, Any], recipient: str = "on-call") -> DeliveryFailedError:
    channel = Channel.model_validate({"name": "Alerts", "destination": destination})
    async with NotifierRegistry.open([channel], 10) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        return await failure_of(notifier, notification(recipient=recipient))


def assert_decided(failure: DeliveryFailedError, kind: FailureKind) -> None:
    """Delivery and diagnosis agree, and only a fault of the alert itself is permanent."""
    assert failure.kind is kind, failure
    assert classify(str(failure)) is kind, failure
    assert failure.permanent is (kind in {FailureKind.REFUSED, FailureKind.RECIPIENT}), failure
    assert ("mark these read" in REMEDIES[kind].fix) is failure.permanent


@pytest.mark.parametrize(("channel", "status", "said", "kind"), HTTP_ANSWERS)
async def test_an_http_response_is_permanent_only_if_it_blames_the_content(
    receiver: Receiver, channel: str, status: int, said: str, kind: FailureKind
) -> None:
    receiver.status, receiver.body = status, said
    assert_decided(await refusal(HTTP_CHANNELS[channel](receiver.url)), kind)


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
@pytest.mark.parametrize("status", [413, 429, 503])
async def test_a_retry_after_header_is_a_request_to_wait(
    receiver: Receiver, channel: str, status: int
) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "30"}
    failure = await refusal(HTTP_CHANNELS[channel](receiver.url))
    assert failure.told_to_wait
    assert failure.retry_after == timedelta(seconds=30)
    assert_decided(failure, FailureKind.OUTAGE if status == 503 else FailureKind.RATE_LIMITED)


@pytest.mark.parametrize(("status", "asks"), [(429, True), (503, False), (500, False)])
async def test_without_retry_after_only_too_many_requests_is_a_request_to_wait(
    receiver: Receiver, status: int, asks: bool
) -> None:
    receiver.status = status
    assert (await refusal(HTTP_CHANNELS["webhook"](receiver.url))).told_to_wait is asks


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
async def test_gone_is_permanent_only_for_standard_webhooks(receiver: Receiver, channel: str) -> None:
    receiver.status = 410
    failure = await refusal(HTTP_CHANNELS[channel](receiver.url))
    assert failure.kind is classify(str(failure)) is FailureKind.GONE
    assert failure.permanent is (channel == "webhook")


SMTP_REPLIES: list[tuple[str, str, FailureKind]] = [
    ("recipient", "550 5.1.1 no such user", FailureKind.RECIPIENT),
    ("recipient", "550 5.1.10 null MX", FailureKind.RECIPIENT),
    ("recipient", "550 no such user here", FailureKind.RECIPIENT),
    ("recipient", "556 domain takes no mail", FailureKind.RECIPIENT),
    ("recipient", "550 5.7.1 Unable to relay", FailureKind.SENDER),
    ("recipient", "550 5.7.64 TenantAttribution; Relay Access Denied", FailureKind.SENDER),
    ("recipient", "550 blocked using bl.example.org", FailureKind.SENDER),
    ("recipient", "550 #5.1.0 Address rejected.", FailureKind.RECIPIENT),
    ("recipient", "550 user unknown, blocked using bl.example.org", FailureKind.SENDER),
    ("recipient", "550 5.1.0 <a@b.c>: Sender address rejected: User unknown", FailureKind.SENDER),
    ("recipient", "550 sender verify failed: unknown user", FailureKind.SENDER),
    ("recipient", "550 SPF check failed: unknown address", FailureKind.SENDER),
    ("recipient", "550 5.1.8 sender domain does not exist", FailureKind.SENDER),
    ("recipient", "553 that domain isn't in my list of allowed rcpthosts", FailureKind.SENDER),
    ("recipient", "552 5.2.2 mailbox full", FailureKind.MAILBOX),
    ("recipient", "550 5.2.1 mailbox disabled", FailureKind.MAILBOX),
    ("recipient", "550 mailbox is full", FailureKind.MAILBOX),
    ("recipient", "530 5.7.0 authentication required", FailureKind.CREDENTIALS),
    ("recipient", "450 4.2.0 greylisted", FailureKind.OUTAGE),
    ("recipient", "452 4.5.3 too many recipients", FailureKind.RATE_LIMITED),
    ("message", "554 Email address is not verified", FailureKind.SENDER),
    ("message", "554 5.2.0 STOREDRV.Deliver.Exception:QuotaExceededException", FailureKind.MAILBOX),
    ("message", "554 5.7.1 looks like spam", FailureKind.SENDER),
    ("message", "550 5.4.5 Daily sending quota exceeded", FailureKind.RATE_LIMITED),
    ("message", "550 5.1.1 no such user", FailureKind.RECIPIENT),
    ("message", "552 5.3.4 message too big for system", FailureKind.REFUSED),
    ("message", "552 message size exceeds limit", FailureKind.REFUSED),
    ("message", "554 5.6.0 corrupt message content", FailureKind.REFUSED),
    ("message", "451 4.3.0 local error", FailureKind.OUTAGE),
    ("message", "451 4.7.0 too many connections from your host", FailureKind.RATE_LIMITED),
    ("message", "421 4.7.28 rate limit", FailureKind.RATE_LIMITED),
    ("sender", "550 5.1.1 no such user", FailureKind.SENDER),
    ("sender", "421 too many connections", FailureKind.RATE_LIMITED),
]


@pytest.fixture(scope="module")
def replies() -> dict[str, Callable[[Relay, str], None]]:
    def recipient(relay: Relay, reply: str) -> None:
        relay.recipient_replies = {"ada@example.com": reply}

    def message(relay: Relay, reply: str) -> None:
        relay.data_reply = reply

    def sender(relay: Relay, reply: str) -> None:
        relay.sender_reply = reply

    return {"recipient": recipient, "message": message, "sender": sender}


@pytest.mark.parametrize(("step", "reply", "kind"), SMTP_REPLIES)
async def test_a_relay_reply_is_permanent_only_if_it_blames_recipient_or_content(
    replies: dict[str, Callable[[Relay, str], None]], step: str, reply: str, kind: FailureKind
) -> None:
    async with relaying() as relay:
        replies[step](relay, reply)
        host, port = relay.address
        destination = {
            "kind": "email",
            "host": host,
            "port": port,
            "from_address": "certs@example.com",
            "security": "none",
        }
        failure = await refusal(destination, "ada@example.com")
    assert_decided(failure, kind)
    assert failure.told_to_wait is (reply.startswith("4") and kind is FailureKind.RATE_LIMITED)
