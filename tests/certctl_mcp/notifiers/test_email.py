"""Email delivery to a real SMTP server."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from certctl_mcp.config.destinations import EmailDestination
from certctl_mcp.notifiers.email import EmailNotifier
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify
from storage.models import Notification
from tests.builders import NOON, SettableClock, notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.relay import PASSWORD, USERNAME, Relay, relaying
from tests.certctl_mcp.notifiers.scripted_server import FOREVER, serving, silence

LOGIN: dict[str, Any] = {"username": USERNAME, "password": PASSWORD}


class Authority:
    """A private certificate authority and a server certificate from it."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)

    def trusted(self, security: str) -> dict[str, Any]:
        """Settings of a destination that uses TLS and trusts the authority."""
        return {"security": security, "ca_file": self.ca_file}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with relaying() as relay:
        yield relay


def notifier(address: tuple[str, int], *, seconds: float = 10.0, **settings: Any) -> EmailNotifier:
    given = {
        "host": address[0],
        "port": address[1],
        "from_address": "certctl <alerts@example.com>",
        "security": "none",
        **settings,
    }
    return EmailNotifier(
        EmailDestination.model_validate(given),
        connect_timeout=timedelta(seconds=min(seconds, 5)),
        send_timeout=timedelta(seconds=seconds),
        clock=SettableClock(NOON),
    )


def to(*recipients: str, **contents: Any) -> Notification:
    return notification(channel="Email", recipient=",".join(recipients), **contents)


async def test_an_email_arrives_over_starttls_with_a_login(authority: Authority) -> None:
    async with relaying(starttls=authority.server, login=True) as relay:
        await notifier(relay.address, **authority.trusted("starttls"), **LOGIN).send(to("ada@example.com"))
        assert relay.only.encrypted
        assert relay.only.authenticated
        assert relay.only.mail["Subject"].startswith("ExpirationWarning: ")


async def test_an_email_arrives_over_implicit_tls_with_a_login(authority: Authority) -> None:
    async with relaying(tls=authority.server, login=True) as relay:
        await notifier(relay.address, **authority.trusted("tls"), **LOGIN).send(to("ada@example.com"))
        assert relay.only.authenticated


async def test_an_email_arrives_unencrypted_if_so_configured(relay: Relay) -> None:
    await notifier(relay.address).send(to("ada@example.com"))
    assert not relay.only.encrypted
    assert relay.only.sender == "alerts@example.com"
    assert relay.only.mail["From"] == "certctl <alerts@example.com>"


async def test_every_recipient_is_in_the_envelope_and_the_header(relay: Relay) -> None:
    await notifier(relay.address).send(to("ada@example.com", " bob@example.org", "ada@example.com", ""))
    assert relay.only.recipients == ("ada@example.com", "bob@example.org")
    assert relay.only.mail["To"] == "ada@example.com, bob@example.org"


async def test_an_email_to_a_non_ascii_address_arrives(relay: Relay) -> None:
    await notifier(relay.address).send(to("jürgen@bücher.example"))
    assert relay.only.recipients == ("jürgen@xn--bcher-kva.example",)


async def test_every_attempt_has_the_same_message_id(relay: Relay) -> None:
    for attempt in range(2):
        await notifier(relay.address).send(to("ada@example.com", id="notif-17", retry_count=attempt))
    assert [taken.mail["Message-ID"] for taken in relay.taken] == ["<notif-17@example.com>"] * 2


@pytest.mark.parametrize("recipient", ["", " , ", "on-call", "a@b\r\nRCPT TO:<c@d>"])
async def test_a_malformed_recipient_is_a_permanent_failure(relay: Relay, recipient: str) -> None:
    failure = await failure_of(notifier(relay.address), to(recipient))
    assert failure.permanent
    assert relay.sessions == 0


async def test_the_error_names_a_malformed_recipient(relay: Relay) -> None:
    failure = await failure_of(notifier(relay.address), to("bob at example.com"))
    assert str(failure) == "not an e-mail address: 'bob at example.com'"


@pytest.mark.parametrize(
    ("replies", "permanent"),
    [
        ({"ada@x.example": "550 no such user"}, True),
        ({"ada@x.example": "551 not here"}, False),
        ({"ada@x.example": "553 no name"}, False),
        ({"ada@x.example": "553 5.1.3 no name"}, True),
        ({"ada@x.example": "552 mailbox full"}, False),
        ({"ada@x.example": "554 relay access denied"}, False),
        ({"ada@x.example": "450 greylisted"}, False),
        ({"ada@x.example": "550 no such user", "bob@x.example": "556 no mail here"}, True),
        ({"ada@x.example": "550 no such user", "bob@x.example": "451 later"}, False),
    ],
)
async def test_if_all_recipients_are_refused_their_codes_decide(
    relay: Relay, replies: dict[str, str], permanent: bool
) -> None:
    relay.recipient_replies = replies
    failure = await failure_of(notifier(relay.address), to(*replies))
    assert failure.permanent is permanent
    for address, reply in replies.items():
        assert f"{address} ({reply})" in str(failure)


@pytest.mark.parametrize(("reply", "permanent"), [("550 no such user", True), ("451 later", False)])
async def test_an_email_accepted_for_some_recipients_is_not_a_success(
    relay: Relay, reply: str, permanent: bool
) -> None:
    relay.recipient_replies = {"bob@x.example": reply}
    failure = await failure_of(notifier(relay.address), to("ada@x.example", "bob@x.example"))
    assert relay.only.recipients == ("ada@x.example",)
    assert str(failure) == (
        f"{relay.name} took the mail for ada@x.example and refused bob@x.example ({reply})"
    )
    assert failure.permanent is permanent


async def test_a_retry_goes_only_to_the_refused_recipients(relay: Relay) -> None:
    mails, sent = notifier(relay.address), to("ada@x.example", "bob@x.example", "eve@x.example")
    relay.recipient_replies = {"bob@x.example": "451 later", "eve@x.example": "451 later"}
    await failure_of(mails, sent)
    relay.recipient_replies = {"eve@x.example": "451 later"}
    failure = await failure_of(mails, sent)
    assert "took the mail for ada@x.example, bob@x.example and refused eve@x.example" in str(failure)
    relay.recipient_replies = {}
    await mails.send(sent)
    assert [taken.recipients for taken in relay.taken] == [
        ("ada@x.example",),
        ("bob@x.example",),
        ("eve@x.example",),
    ]


async def test_a_requeue_after_complete_delivery_sends_to_all_recipients(relay: Relay) -> None:
    mails, sent = notifier(relay.address), to("ada@x.example", "bob@x.example")
    relay.recipient_replies = {"bob@x.example": "451 later"}
    await failure_of(mails, sent)
    relay.recipient_replies = {}
    await mails.send(sent)
    await mails.send(sent)
    assert relay.taken[-1].recipients == ("ada@x.example", "bob@x.example")


@pytest.mark.parametrize(
    ("reply", "permanent"),
    [("554 looks like spam", False), ("552 too large", True), ("451 disk full", False)],
)
async def test_a_refused_message_is_a_permanent_failure_unless_the_code_is_temporary(
    relay: Relay, reply: str, permanent: bool
) -> None:
    relay.data_reply = reply
    failure = await failure_of(notifier(relay.address), to("ada@x.example"))
    assert str(failure) == f"{relay.name} refused the message: {reply}"
    assert failure.permanent is permanent


async def test_a_refused_sender_is_a_configuration_failure(relay: Relay) -> None:
    relay.sender_reply = "550 not your domain"
    failure = await failure_of(notifier(relay.address), to("ada@x.example"))
    assert str(failure) == f"{relay.name} refused the sender: 550 not your domain"
    assert not failure.permanent


async def test_a_refused_login_is_a_configuration_failure(authority: Authority) -> None:
    async with relaying(starttls=authority.server, login=True) as relay:
        mails = notifier(
            relay.address, **authority.trusted("starttls"), **LOGIN | {"password": "wrong-horse"}
        )
        failure = await failure_of(mails, to("ada@x.example"))
    assert str(failure).startswith(f"{relay.name} refused the login: 535 ")
    assert not failure.permanent


async def test_nothing_is_sent_to_a_relay_without_starttls(relay: Relay) -> None:
    mails = notifier(relay.address, security="starttls", **LOGIN)
    failure = await failure_of(mails, to("ada@x.example"))
    assert str(failure).startswith(f"{relay.name} can't be used as it is set up: ")
    assert "STARTTLS" in str(failure)
    assert not failure.permanent


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_nothing_is_sent_to_a_relay_with_an_untrusted_certificate(
    authority: Authority, security: str
) -> None:
    offered: dict[str, Any] = {security: authority.server}
    async with relaying(**offered) as relay:
        failure = await failure_of(notifier(relay.address, security=security), to("ada@x.example"))
        assert relay.taken == []
    assert "certificate" in str(failure)
    assert not failure.permanent


async def test_a_refused_connection_is_reported(closed_port: int) -> None:
    failure = await failure_of(notifier(("127.0.0.1", closed_port)), to("ada@x.example"))
    assert str(failure) == f"the connection to 127.0.0.1:{closed_port} failed: Connection refused"


async def test_a_silent_relay_causes_a_timeout() -> None:
    async with serving(silence) as address:
        host, _, port = address.partition(":")
        failure = await failure_of(notifier((host, int(port)), seconds=0.05), to("ada@x.example"))
    assert "within 0.05 s" in str(failure)


async def test_a_relay_that_stops_responding_causes_a_timeout() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await asyncio.sleep(FOREVER)

    async with serving(greet) as address:
        host, _, port = address.partition(":")
        failure = await failure_of(notifier((host, int(port)), seconds=0.05), to("ada@x.example"))
    assert str(failure) == f"no answer from {address} within 0.05 s"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "answered something that is not SMTP"),
        (b"554 no service for you\r\n", "refused the session: 554 no service for you"),
        (b"x" * 100_000, "answered something that is not SMTP"),
    ],
)
async def test_a_server_that_is_not_a_relay_is_reported(said: bytes, sentence: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()
        await writer.wait_closed()

    async with serving(speak) as address:
        host, _, port = address.partition(":")
        failure = await failure_of(notifier((host, int(port))), to("ada@x.example"))
    assert sentence in str(failure)
    assert not failure.permanent


async def test_a_cancelled_send_closes_its_connection() -> None:
    greeted, closed = asyncio.Event(), asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        greeted.set()
        assert await reader.read() == b""
        closed.set()

    async with serving(watch) as address:
        host, _, port = address.partition(":")
        sending = asyncio.create_task(notifier((host, int(port))).send(to("ada@x.example")))
        await greeted.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(closed.wait(), FOREVER)


async def test_a_malformed_address_does_not_stop_delivery_to_others(relay: Relay) -> None:
    failure = await failure_of(notifier(relay.address), to("ada@x.example", "bogus", "bob@x.example"))
    assert relay.only.recipients == ("ada@x.example", "bob@x.example")
    assert str(failure) == (
        f"{relay.name} took the mail for ada@x.example, bob@x.example "
        "and refused 'bogus' (not an e-mail address)"
    )
    assert failure.kind is classify(str(failure)) is FailureKind.RECIPIENT
    assert failure.permanent


async def test_a_malformed_address_is_not_permanent_while_others_can_be_reached(relay: Relay) -> None:
    relay.recipient_replies = {"bob@x.example": "450 later"}
    failure = await failure_of(notifier(relay.address), to("ada@x.example", "bogus", "bob@x.example"))
    assert failure.kind is classify(str(failure)) is FailureKind.OUTAGE
    assert not failure.permanent


async def test_a_relay_without_smtputf8_still_gets_the_email_for_ascii_addresses() -> None:
    async with relaying(smtputf8=False) as relay:
        failure = await failure_of(notifier(relay.address), to("jürgen@x.example", "bob@x.example"))
        assert relay.only.recipients == ("bob@x.example",)
        assert relay.only.mail["To"] == "bob@x.example"
    assert "refused jürgen@x.example (553 5.6.7 " in str(failure)
    assert failure.kind is classify(str(failure)) is FailureKind.SETUP
    assert not failure.permanent


@pytest.mark.parametrize(
    ("recipient", "address"),
    [
        ("Ops Team <ops@example.com>", "ops@example.com"),
        ('"a b"@x.example', '"a b"@x.example'),
        ("ops@[192.0.2.1]", "ops@[192.0.2.1]"),
        ("ops@straße.de", "ops@xn--strae-oqa.de"),
    ],
)
async def test_every_form_of_an_address_is_accepted(relay: Relay, recipient: str, address: str) -> None:
    await notifier(relay.address).send(to(recipient))
    assert relay.only.recipients == (address,)
    assert relay.only.mail["To"].addresses[0].addr_spec == address


async def test_the_senders_domain_is_converted_as_a_recipients_is(relay: Relay) -> None:
    await notifier(relay.address, from_address="Büro <ops@straße.de>").send(to("ada@x.example"))
    assert relay.only.sender == "ops@xn--strae-oqa.de"
    assert relay.only.mail["From"].addresses[0].addr_spec == "ops@xn--strae-oqa.de"
    assert relay.only.mail["Message-ID"].endswith("@xn--strae-oqa.de>")


@pytest.mark.parametrize(
    ("name", "settings", "greeting"),
    [
        ("host.example.com", {}, "host.example.com"),
        ("localhost", {}, "[127.0.0.1]"),
        ("bare", {}, "[127.0.0.1]"),
        ("host.example.com", {"ehlo_name": "mx.example.org"}, "mx.example.org"),
    ],
)
async def test_the_greeting_has_a_full_host_name_or_an_address(
    monkeypatch: pytest.MonkeyPatch, relay: Relay, name: str, settings: dict[str, Any], greeting: str
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: name)
    await notifier(relay.address, **settings).send(to("ada@x.example"))
    assert relay.only.greeting == greeting


async def test_an_unresolvable_host_name_of_our_own_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, relay: Relay
) -> None:
    released = threading.Event()
    monkeypatch.setattr("socket.getfqdn", lambda: str(released.wait(30)))
    monkeypatch.setattr("certctl_mcp.notifiers.smtp.local_hostname._LOOK_UP_SECONDS", 0.01)
    try:
        await notifier(relay.address).send(to("ada@x.example"))
    finally:
        released.set()
    assert relay.only.greeting == "[127.0.0.1]"


async def test_our_own_host_name_is_looked_up_until_it_is_found(
    monkeypatch: pytest.MonkeyPatch, relay: Relay
) -> None:
    names = iter(["pod-1", "pod-1.example.com"])
    monkeypatch.setattr("socket.getfqdn", lambda: next(names))
    monkeypatch.setattr("certctl_mcp.notifiers.smtp.local_hostname._LOOK_UP_AGAIN_SECONDS", 0)
    mails = notifier(relay.address)
    for _ in range(3):
        await mails.send(to("ada@x.example"))
    assert [taken.greeting for taken in relay.taken] == ["[127.0.0.1]", *["pod-1.example.com"] * 2]


async def test_the_reply_to_a_message_has_a_longer_timeout(relay: Relay) -> None:
    relay.data_seconds = 0.4
    mails = notifier(relay.address, seconds=0.3, data_timeout="5s")
    await mails.send(to("ada@x.example"))
    assert len(relay.taken) == 1


async def test_an_accepted_mail_is_delivered_though_the_time_ends_before_the_session_does(
    relay: Relay,
) -> None:
    relay.quit_seconds = FOREVER
    mails = notifier(relay.address, seconds=0.5, data_timeout="500ms")
    await mails.send(to("ada@x.example"))
    assert len(relay.taken) == 1
