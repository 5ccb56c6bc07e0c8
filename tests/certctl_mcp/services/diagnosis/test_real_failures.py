"""The error stored after a real attempt at a misbehaving receiver is classified correctly."""

import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import trustme

from certctl_mcp.config.destinations import Channel
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.services.diagnosis.classification import classify
from storage.database import Database
from storage.models import Notification, NotificationStatus
from tests.builders import Queue
from tests.certctl_mcp.fake_notifiers import FailingNotifier, HangingNotifier
from tests.certctl_mcp.notifiers.receiver import serve
from tests.certctl_mcp.notifiers.relay import Relay, relaying
from tests.certctl_mcp.notifiers.scripted_server import serving, silence
from tests.certctl_mcp.retry_loops import delivery

SHORT = timedelta(milliseconds=50)


async def attempted(database: Database, queue: Queue, destination: dict[str, Any], **parts: Any) -> str:
    """The error that is stored after one attempt over this destination."""
    channel = Channel.model_validate({"name": "Alerts", "destination": destination})
    recipient = parts.pop("recipient", "ada@example.com")
    async with NotifierRegistry.open(
        [channel], 10, send_timeout=parts.pop("within", timedelta(seconds=10))
    ) as r:
        stored = await after_attempt(database, queue, find_notifier=r.find, recipient=recipient, **parts)
    assert stored.last_error is not None
    return stored.last_error


async def after_attempt(
    database: Database, queue: Queue, *, recipient: str = "on-call", **parts: Any
) -> Notification:
    attempting = delivery(database, parts.pop("notifiers", {}), **parts)
    claim = await queue.claimed(channel="Alerts", recipient=recipient)
    await attempting.record(claim, await attempting.attempt(claim))
    return await queue.repository.get(claim.notification.id)


def webhook(url: str) -> dict[str, Any]:
    return {"kind": "webhook", "url": url}


def email(address: tuple[str, int], **settings: Any) -> dict[str, Any]:
    place = {"host": address[0], "port": address[1], "from_address": "certs@example.com"}
    return {"kind": "email", "security": "none", **place, **settings}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.REQUEST),
        (401, FailureKind.CREDENTIALS),
        (403, FailureKind.CREDENTIALS),
        (404, FailureKind.GONE),
        (410, FailureKind.GONE),
        (413, FailureKind.REFUSED),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.OUTAGE),
        (503, FailureKind.OUTAGE),
    ],
)
@pytest.mark.parametrize("channel", ["webhook", "slack", "opsgenie"])
async def test_an_error_response(
    database: Database, queue: Queue, status: int, kind: FailureKind, channel: str
) -> None:
    async with serve() as receiver:
        receiver.status, receiver.body = status, "HTTP 500, refused the login: no such host"
        destinations = {
            "webhook": webhook(receiver.url),
            "slack": {"kind": "slack", "webhook_url": receiver.url},
            "opsgenie": {"kind": "opsgenie", "api_key": "hidden", "api_url": receiver.url},
        }
        error = await attempted(database, queue, destinations[channel])
    assert classify(error) is kind, error


async def test_a_redirect_to_another_host(database: Database, queue: Queue) -> None:
    async with serve() as receiver:
        receiver.status, receiver.headers = 308, {"Location": "https://elsewhere.example/"}
        assert classify(await attempted(database, queue, webhook(receiver.url))) is FailureKind.GONE


async def test_a_closed_port(database: Database, queue: Queue) -> None:
    for destination in (webhook("http://127.0.0.1:9/"), email(("127.0.0.1", 9))):
        assert classify(await attempted(database, queue, destination)) is FailureKind.CONNECTION


async def test_a_name_that_does_not_resolve(database: Database, queue: Queue) -> None:
    for destination in (webhook("https://nowhere.invalid/"), email(("nowhere.invalid", 25))):
        assert classify(await attempted(database, queue, destination)) is FailureKind.DNS


async def test_an_untrusted_certificate(database: Database, queue: Queue) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(silence, tls) as address:
        assert classify(await attempted(database, queue, webhook(f"https://{address}/"))) is FailureKind.TLS
    async with relaying(tls=tls) as relay:
        error = await attempted(database, queue, email(relay.address, security="tls"))
        assert classify(error) is FailureKind.TLS


async def test_a_silent_receiver(database: Database, queue: Queue) -> None:
    async with serving(silence) as address:
        host, _, port = address.partition(":")
        for destination in (webhook(f"http://{address}/"), email((host, int(port)))):
            error = await attempted(database, queue, destination, within=SHORT)
            assert classify(error) is FailureKind.TIMEOUT


async def test_a_notifier_that_hangs(database: Database, queue: Queue) -> None:
    stored = await after_attempt(database, queue, notifiers={"Alerts": HangingNotifier()}, send_timeout=SHORT)
    assert classify(stored.last_error) is FailureKind.TIMEOUT


def refuse_sender(relay: Relay) -> None:
    relay.sender_reply = "550 5.7.1 not your domain"


def refuse_recipient(relay: Relay) -> None:
    relay.recipient_replies["ada@example.com"] = "550 5.1.1 no such user"


def refuse_data(relay: Relay) -> None:
    relay.data_reply = "552 5.3.4 too large"


def have_trouble(relay: Relay) -> None:
    relay.data_reply = "451 4.3.0 local error"


@pytest.mark.parametrize(
    ("refuse", "kind"),
    [
        (refuse_sender, FailureKind.SENDER),
        (refuse_recipient, FailureKind.RECIPIENT),
        (refuse_data, FailureKind.REFUSED),
        (have_trouble, FailureKind.OUTAGE),
    ],
)
async def test_a_refusing_relay(
    database: Database, queue: Queue, refuse: Callable[[Relay], None], kind: FailureKind
) -> None:
    async with relaying() as relay:
        refuse(relay)
        error = await attempted(database, queue, email(relay.address))
        assert classify(error) is kind, error


async def test_a_relay_that_accepts_only_some_recipients(database: Database, queue: Queue) -> None:
    async with relaying() as relay:
        refuse_recipient(relay)
        recipients = "bob@example.com, ada@example.com"
        error = await attempted(database, queue, email(relay.address), recipient=recipients)
    assert classify(error) is FailureKind.RECIPIENT


async def test_a_refused_login(database: Database, queue: Queue) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with authority.cert_pem.tempfile() as ca_file:
        login = {"username": "ada", "password": "wrong-horse", "security": "tls", "ca_file": ca_file}
        async with relaying(tls=tls, login=True) as relay:
            error = await attempted(database, queue, email(relay.address, **login))
    assert classify(error) is FailureKind.CREDENTIALS


async def test_a_relay_without_starttls(database: Database, queue: Queue) -> None:
    async with relaying() as relay:
        error = await attempted(database, queue, email(relay.address, security="starttls"))
    assert classify(error) is FailureKind.SETUP


@pytest.mark.parametrize("recipient", ["", "nobody"])
async def test_a_malformed_recipient(database: Database, queue: Queue, recipient: str) -> None:
    error = await attempted(database, queue, email(("127.0.0.1", 9)), recipient=recipient)
    assert classify(error) is FailureKind.RECIPIENT


async def test_an_unusable_destination(database: Database, queue: Queue) -> None:
    error = await attempted(database, queue, webhook("https://127.0.0.1:9/") | {"ca_file": "/nowhere.pem"})
    assert classify(error) is FailureKind.SETUP, error


async def test_a_channel_without_a_notifier(queue: Queue) -> None:
    stored = await queue.dead("no notifier configured for channel Alerts; not delivered")
    assert classify(stored.last_error) is FailureKind.NO_NOTIFIER


async def test_a_defect(database: Database, queue: Queue) -> None:
    stored = await after_attempt(
        database, queue, notifiers={"Alerts": FailingNotifier(queue.clock, KeyError("channel"))}
    )
    assert classify(stored.last_error) is FailureKind.DEFECT


async def test_abandoned_attempts(queue: Queue) -> None:
    stored = await queue.abandoned(times=10)
    assert stored.status is NotificationStatus.DEAD
    assert classify(stored.last_error) is FailureKind.ABANDONED
