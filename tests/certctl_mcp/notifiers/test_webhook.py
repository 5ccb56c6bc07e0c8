"""Webhook requests, with signatures verified by the package that receivers use."""

import base64
import hashlib
import hmac
import ssl
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook, WebhookVerificationError

from certctl_mcp.config.destinations import WebhookDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.webhook import CertctlWebhookNotifier, WebhookNotifier
from tests.builders import SettableClock, notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver

OLD = "whsec_" + base64.b64encode(b"the old one, of 24 bytes").decode()
NEW = "whsec_" + base64.b64encode(b"the new one, of 24 bytes").decode()


@pytest.fixture(autouse=True)
def present(clock: SettableClock) -> None:
    """Sets the clock to the present, because receivers refuse old signatures."""
    clock.now = datetime.now(UTC)


def notifier(client: HttpClient, url: str, **settings: Any) -> WebhookNotifier:
    return WebhookNotifier(WebhookDestination.model_validate({"url": url, **settings}), client)


async def test_the_body_is_an_event_with_the_notification_as_its_data(
    client: HttpClient, receiver: Receiver
) -> None:
    sent = notification(certificate_id="mc-api", message='"ü" \U0001f512\n<b>')
    await notifier(client, receiver.url).send(sent)
    assert receiver.only.json == {
        "type": "ExpirationWarning",
        "timestamp": "2026-01-01T12:00:00+00:00",
        "data": {
            "id": "notif-0001",
            "type": "ExpirationWarning",
            "certificate_id": "mc-api",
            "channel": "Webhook",
            "recipient": "on-call",
            "message": '"ü" \U0001f512\n<b>',
            "created_at": "2026-01-01T12:00:00+00:00",
        },
    }
    assert receiver.only.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("written", ["standard", "certctl"])
async def test_the_trace_context_is_passed_on_if_there_is_one(
    client: HttpClient, receiver: Receiver, written: str
) -> None:
    destination = WebhookDestination.model_validate({"url": receiver.url})
    kind = WebhookNotifier if written == "standard" else CertctlWebhookNotifier
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    await kind(destination, client).send(notification(traceparent=traceparent))
    assert receiver.only.headers["traceparent"] == traceparent
    receiver.received.clear()
    await kind(destination, client).send(notification())
    assert "traceparent" not in receiver.only.headers


async def test_the_id_is_the_idempotency_key(client: HttpClient, receiver: Receiver) -> None:
    for attempt in range(2):
        await notifier(client, receiver.url).send(notification(id="notif-17", retry_count=attempt))
    assert [request.headers["webhook-id"] for request in receiver.received] == ["notif-17"] * 2


@pytest.mark.parametrize("secret", [OLD, OLD.removeprefix("whsec_"), OLD.rstrip("="), "MDEyMzQ1"])
@pytest.mark.parametrize("message", ["plain", "ü \U0001f512 \u2028 \x00", "x" * 200_000])
async def test_a_receiver_with_the_same_secret_can_verify(
    client: HttpClient, receiver: Receiver, secret: str, message: str
) -> None:
    await notifier(client, receiver.url, secrets=[secret]).send(notification(message=message))
    verified = Webhook(secret).verify(receiver.only.body, dict(receiver.only.headers))
    assert verified["data"]["message"] == message


async def test_a_secret_that_is_not_base64_is_used_as_raw_bytes(
    client: HttpClient, receiver: Receiver
) -> None:
    await notifier(client, receiver.url, secrets=["s3cret, with a comma"]).send(notification())
    Webhook(b"s3cret, with a comma").verify(receiver.only.body, dict(receiver.only.headers))


@pytest.mark.parametrize("held", [OLD, NEW])
async def test_during_rotation_receivers_with_either_secret_can_verify(
    client: HttpClient, receiver: Receiver, held: str
) -> None:
    await notifier(client, receiver.url, secrets=[NEW, OLD]).send(notification())
    assert len(receiver.only.headers["webhook-signature"].split(" ")) == 2
    Webhook(held).verify(receiver.only.body, dict(receiver.only.headers))


async def test_a_receiver_with_another_secret_refuses(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver.url, secrets=[OLD]).send(notification())
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(receiver.only.body, dict(receiver.only.headers))


async def test_the_signed_time_is_independent_of_the_time_zone(
    client: HttpClient, clock: SettableClock, receiver: Receiver
) -> None:
    clock.now = datetime.now(timezone(timedelta(hours=-7)))
    await notifier(client, receiver.url, secrets=[OLD]).send(notification())
    Webhook(OLD).verify(receiver.only.body, dict(receiver.only.headers))


async def test_without_secrets_nothing_is_signed(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver.url).send(notification())
    assert "webhook-signature" not in receiver.only.headers


async def test_an_id_with_a_line_break_adds_no_header(client: HttpClient, receiver: Receiver) -> None:
    sent = notification(id="x\r\nX-Evil: 1")
    await notifier(client, receiver.url, secrets=[OLD]).send(sent)
    assert "X-Evil" not in receiver.only.headers
    Webhook(OLD).verify(receiver.only.body, dict(receiver.only.headers))
    assert receiver.only.json["data"]["id"] == "x\r\nX-Evil: 1"


async def test_the_operators_headers_are_sent(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver.url, headers={"X-Tenant": "certs"}).send(notification())
    assert receiver.only.headers["X-Tenant"] == "certs"


async def test_the_recipient_cannot_change_the_destination(client: HttpClient, receiver: Receiver) -> None:
    await notifier(client, receiver.url).send(notification(recipient="http://169.254.169.254/latest"))
    assert receiver.only.json["data"]["recipient"] == "http://169.254.169.254/latest"


async def test_a_receiver_with_a_certificate_of_a_private_authority_is_trusted(
    client: HttpClient, tmp_path: Path
) -> None:
    async def accept(request: web.Request) -> web.Response:
        return web.Response(status=202)

    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    application = web.Application()
    application.router.add_post("/", accept)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=tls)
    url = str(server.make_url("/"))
    await notifier(client, url, ca_file=str(tmp_path / "ca.pem")).send(notification())
    assert "not trusted" in str(await failure_of(notifier(client, url)))
    await server.close()


def certctl_notifier(client: HttpClient, url: str, **settings: Any) -> CertctlWebhookNotifier:
    destination = WebhookDestination.model_validate({"url": url, "format": "certctl", **settings})
    return CertctlWebhookNotifier(destination, client)


async def test_the_certctl_format_has_the_documented_field_names(
    client: HttpClient, receiver: Receiver
) -> None:
    await certctl_notifier(client, receiver.url).send(notification(id="notif-17", message="ü"))
    assert receiver.only.json == {
        "id": "notif-17",
        "type": "notification",
        "event_id": "notif-17",
        "event_type": "notification",
        "recipient": "on-call",
        "subject": "ExpirationWarning",
        "body": "ü",
        "created_at": "2026-01-01T12:00:00Z",
    }
    assert receiver.only.headers["webhook-id"] == "notif-17"
    assert "X-Signature" not in receiver.only.headers


@pytest.mark.parametrize("secret", ["s3cret", "MDEyMzQ1"])
async def test_a_receiver_that_verifies_certctls_signature_accepts_ours(
    client: HttpClient, receiver: Receiver, secret: str
) -> None:
    await certctl_notifier(client, receiver.url, secrets=[secret]).send(notification())
    request = receiver.only
    expected = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Signature"] == f"sha256={expected}"
    assert request.headers["X-Signature-Algorithm"] == "sha256"
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize("settings", [{"secrets": [OLD, NEW]}, {"headers": {"x-signature": "mine"}}])
def test_settings_that_the_certctl_format_cannot_express_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"one secret|set by the notifier"):
        WebhookDestination.model_validate({"url": "http://a/", "format": "certctl", **settings})
