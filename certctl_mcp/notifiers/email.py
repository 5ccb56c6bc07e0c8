"""Email: one SMTP session per notification, to the operator's relay."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from email.policy import SMTP as SMTP_POLICY

from aiosmtplib import SMTP, SMTPHeloError, SMTPRecipientRefused

from certctl_mcp.config.destinations import EmailDestination
from certctl_mcp.notifiers.base import delivery_failed
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.name_resolution import Resolver
from certctl_mcp.notifiers.network.tcp import ProxyError, connect
from certctl_mcp.notifiers.network.tls import client_context
from certctl_mcp.notifiers.recipients import (
    MalformedRecipientError,
    Recipients,
    parse_recipients,
    sender_address,
)
from certctl_mcp.notifiers.smtp.failures import Refusal, SessionError, recipients_refused, session_failed
from certctl_mcp.notifiers.smtp.local_hostname import LocalHostname
from certctl_mcp.notifiers.smtp.message import compose
from certctl_mcp.notifiers.smtp.partial_deliveries import PartialDeliveries
from certctl_mcp.text.redaction import redact
from storage.clock import Clock, utc_now
from storage.models import Notification

_QUIT_SECONDS = 1.0
"""The mail has been accepted by then; QUIT is a courtesy."""

_NO_SMTPUTF8 = (553, "5.6.7 the relay does not support such addresses (SMTPUTF8)")


class EmailNotifier:
    """Sends mail; every attempt has the same Message-ID.

    A relay may accept a mail for some recipients and refuse it for others. That is not a success: the
    attempt fails, and later ones go only to the recipients that were refused. If none of those can ever be
    reached the failure is permanent, and the error names both groups.

    Until the mail has been handed over, a session may take as long as any attempt. The wait for the relay's
    reply to the mail itself is longer (RFC 5321, 4.5.3.2.6): if it ended too early, the mail would be sent
    twice.
    """

    def __init__(
        self,
        destination: EmailDestination,
        *,
        connect_timeout: timedelta,
        send_timeout: timedelta,
        resolver: Resolver | None = None,
        content: ContentWriter | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._destination = destination
        self._confidential = destination.confidential
        self._relay = f"{destination.host}:{destination.port}"
        if "connect_timeout" in destination.model_fields_set:
            connect_timeout = min(destination.connect_timeout, send_timeout)
        self._connect_seconds = connect_timeout.total_seconds()
        self._send_seconds = send_timeout.total_seconds()
        self._data_seconds = max(send_timeout, destination.data_timeout).total_seconds()
        self._resolver = resolver or Resolver(self._connect_seconds)
        self._hostname = LocalHostname()
        self._content = content or ContentWriter()
        self._clock = clock
        self._partial = PartialDeliveries()
        self._tls = None if destination.security == "none" else client_context(destination)

    def preview(self, notification: Notification) -> str:
        recipients = self._recipients(notification).addresses if notification.recipient else ()
        destination = self._destination
        content = self._content.content(notification)
        mail = compose(
            notification, content, destination.from_address, recipients, self._clock(), html=destination.html
        )
        shown = [f"{name}: {mail[name]}" for name in ("From", "To", "Subject", "Message-ID")]
        text = mail.get_body(("plain",))
        assert text is not None
        return redact("\n".join([*shown, "", text.get_content()]), self._confidential)

    async def send(self, notification: Notification) -> None:
        recipients = self._recipients(notification)
        refused = [Refusal(repr(part), 0, "not an e-mail address") for part in recipients.malformed]
        remaining = self._partial.remaining(notification.id, recipients.addresses)
        if remaining:
            refused += await self._transfer(notification, remaining)
        if not refused:
            self._partial.forget(notification.id)
            return
        addresses = {refusal.address for refusal in refused}
        accepted = [address for address in recipients.addresses if address not in addresses]
        if accepted:
            self._partial.record(notification.id, accepted)
        raise recipients_refused(self._relay, refused, self._confidential, accepted)

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    def _recipients(self, notification: Notification) -> Recipients:
        try:
            return parse_recipients(notification.recipient)
        except MalformedRecipientError as malformed:
            raise delivery_failed(str(malformed), self._confidential, kind=FailureKind.RECIPIENT) from None

    async def _transfer(self, notification: Notification, recipients: Sequence[str]) -> list[Refusal]:
        """The recipients for whom the mail was refused."""
        seconds = self._send_seconds
        try:
            async with asyncio.timeout(seconds) as limit, self._session() as session:
                accepted, refused = await self._offer(session, recipients)
                if accepted:
                    seconds = self._data_seconds
                    limit.reschedule(asyncio.get_running_loop().time() + seconds)
                    await session.data(self._bytes(notification, accepted, session), timeout=seconds)
                    # The mail has been accepted, however long the session takes to end.
                    limit.reschedule(None)
            return refused
        except ProxyError as error:
            raise delivery_failed(str(error), self._confidential, kind=FailureKind.PROXY) from None
        except SessionError as error:
            raise session_failed(
                error, self._relay, self._confidential, connect=self._connect_seconds, total=seconds
            ) from None

    async def _offer(self, session: SMTP, recipients: Sequence[str]) -> tuple[Sequence[str], list[Refusal]]:
        """Send the relay the sender and the recipients; returns which recipients it accepts and which it
        refuses."""
        sender = sender_address(self._destination.from_address)
        utf8 = session.supports_extension("smtputf8")
        options = ["BODY=8BITMIME"] if session.supports_extension("8bitmime") else []
        international = not all(address.isascii() for address in (sender, *recipients))
        await session.mail(
            sender,
            options=[*options, *(["SMTPUTF8"] if utf8 and international else [])],
            encoding="utf-8" if utf8 else "ascii",
        )
        accepted: list[str] = []
        refused: list[Refusal] = []
        for address in recipients:
            if not address.isascii() and not utf8:
                refused.append(Refusal(address, *_NO_SMTPUTF8))
                continue
            try:
                await session.rcpt(address, encoding="utf-8" if utf8 else "ascii")
            except SMTPRecipientRefused as refusal:
                refused.append(Refusal(address, refusal.code, refusal.message))
            else:
                accepted.append(address)
        return accepted, refused

    def _bytes(self, notification: Notification, recipients: Sequence[str], session: SMTP) -> bytes:
        destination = self._destination
        mail = compose(
            notification,
            self._content.content(notification),
            destination.from_address,
            recipients,
            self._clock(),
            html=destination.html,
        )
        policy = SMTP_POLICY.clone(
            utf8=session.supports_extension("smtputf8")
            and not all(address.isascii() for address in recipients),
            cte_type="8bit" if session.supports_extension("8bitmime") else "7bit",
        )
        return mail.as_bytes(policy=policy)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[SMTP]:
        """A session that is ready for a mail: connected, encrypted and logged in as configured."""
        destination = self._destination
        sock = await connect(
            self._resolver,
            destination.host,
            destination.port,
            destination.proxy_url,
            self._connect_seconds,
        )
        try:
            greeting = destination.ehlo_name or await self._hostname.greeting(sock)
            session = self._client(sock, greeting)
        except BaseException:
            sock.close()
            raise
        try:
            await session.connect()
            if session.is_ehlo_or_helo_needed:
                try:
                    await session.ehlo()
                except SMTPHeloError:
                    await session.helo()
            yield session
            with suppress(*SessionError):
                await session.quit(timeout=_QUIT_SECONDS)
        finally:
            session.close()

    def _client(self, sock: socket.socket, greeting: str) -> SMTP:
        destination = self._destination
        return SMTP(
            hostname=destination.host,
            sock=sock,
            username=destination.username,
            password=destination.password.get_secret_value() if destination.password else None,
            local_hostname=greeting,
            timeout=self._send_seconds,
            use_tls=destination.security == "tls",
            start_tls=destination.security == "starttls",
            tls_context=self._tls,
        )
