"""Email: one SMTP session per notification, to the operator's relay."""

import asyncio
import ssl
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr

from aiosmtplib import SMTP

from certctl_mcp.config.destinations import EmailDestination
from certctl_mcp.notifiers.base import delivery_failed
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.mail import compose
from certctl_mcp.notifiers.partial_deliveries import PartialDeliveries
from certctl_mcp.notifiers.recipients import MalformedRecipientError, parse_recipients
from certctl_mcp.notifiers.smtp_failures import Refusal, SessionError, recipients_refused, session_failed
from certctl_mcp.notifiers.tls import client_context
from storage.clock import Clock, utc_now
from storage.models import Notification

_QUIT_SECONDS = 1.0
"""The mail has been accepted by then; QUIT is a courtesy."""


class EmailNotifier:
    """Sends mail; every attempt has the same Message-ID.

    A relay may accept a mail for some recipients and refuse it for others. That is not a success: the
    attempt fails, and later ones go only to the recipients that were refused. If none of those can ever be
    reached the failure is permanent, and the error names both groups.
    """

    def __init__(
        self,
        destination: EmailDestination,
        *,
        connect_timeout: timedelta,
        send_timeout: timedelta,
        clock: Clock = utc_now,
    ) -> None:
        self._destination = destination
        self._confidential = destination.confidential
        self._relay = f"{destination.host}:{destination.port}"
        self._connect_seconds = connect_timeout.total_seconds()
        self._send_seconds = send_timeout.total_seconds()
        self._clock = clock
        self._partial = PartialDeliveries()
        self._local_hostname: str | None = None
        self._tls: ssl.SSLContext | None = None
        if destination.security != "none":
            self._tls = client_context(destination)

    async def send(self, notification: Notification) -> None:
        try:
            recipients = parse_recipients(notification.recipient)
        except MalformedRecipientError as malformed:
            raise delivery_failed(str(malformed), self._confidential, kind=FailureKind.RECIPIENT) from None
        refused = await self._transfer(notification, self._partial.remaining(notification.id, recipients))
        if not refused:
            self._partial.forget(notification.id)
            return
        addresses = {refusal.address for refusal in refused}
        accepted = [address for address in recipients if address not in addresses]
        self._partial.record(notification.id, accepted)
        raise recipients_refused(self._relay, refused, self._confidential, accepted)

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    async def _transfer(self, notification: Notification, recipients: tuple[str, ...]) -> list[Refusal]:
        """The recipients that were refused while others were accepted."""
        mail = compose(
            notification,
            self._destination.from_address,
            recipients,
            self._clock(),
            html=self._destination.html,
        )
        session = self._session()
        try:
            async with asyncio.timeout(self._send_seconds):
                await session.connect(timeout=self._connect_seconds)
                refused, _ = await session.send_message(
                    mail, sender=parseaddr(self._destination.from_address)[1], recipients=recipients
                )
            with suppress(*SessionError):
                await session.quit(timeout=_QUIT_SECONDS)
        except SessionError as error:
            raise session_failed(
                error,
                self._relay,
                self._confidential,
                connect=self._connect_seconds,
                total=self._send_seconds,
            ) from None
        finally:
            # Looking up our own name may be slow, and it does not change.
            self._local_hostname = session.local_hostname
            session.close()
        return [Refusal(address, reply.code, reply.message) for address, reply in refused.items()]

    def _session(self) -> SMTP:
        destination = self._destination
        return SMTP(
            hostname=destination.host,
            port=destination.port,
            username=destination.username,
            password=destination.password.get_secret_value() if destination.password else None,
            local_hostname=self._local_hostname,
            timeout=self._send_seconds,
            use_tls=destination.security == "tls",
            start_tls=destination.security == "starttls",
            tls_context=self._tls,
        )
