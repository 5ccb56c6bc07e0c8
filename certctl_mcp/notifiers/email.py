"""Email: one SMTP session a notification, to the operator's relay."""

import asyncio
import ssl
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr

from aiosmtplib import SMTP

from certctl_mcp.config.destinations import EmailDestination
from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.mail import compose
from certctl_mcp.notifiers.partial_deliveries import PartialDeliveries
from certctl_mcp.notifiers.recipients import MalformedRecipientError, parse_recipients
from certctl_mcp.notifiers.smtp_failures import (
    SessionError,
    explain,
    is_permanent,
    is_permanent_for_recipient,
    list_refusals,
)
from storage.clock import Clock, utc_now
from storage.models import Notification

_QUIT_SECONDS = 1.0
"""The mail is taken by then; the farewell is a courtesy."""


class EmailNotifier:
    """Sends mails; a repeat has the same Message-ID.

    A relay may take a mail for some of its recipients and refuse others. That is no success, for somebody
    was not told: the attempt fails, and later ones go only to those who were refused. If none of the
    refused can ever be reached it fails for good, with both groups named in the error.
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
            self._tls = ssl.create_default_context(cafile=destination.ca_file)

    async def send(self, notification: Notification) -> None:
        try:
            recipients = parse_recipients(notification.recipient)
        except MalformedRecipientError as malformed:
            raise self._failed(str(malformed), permanent=True) from None
        refused = await self._transfer(notification, self._partial.open(notification.id, recipients))
        if not refused:
            self._partial.complete(notification.id)
            return
        told = [address for address in recipients if address not in refused]
        self._partial.accepted(notification.id, told)
        refusals = list_refusals(refused, self._confidential)
        raise self._failed(
            f"{self._relay} took the mail for {', '.join(told)} and refused {refusals}",
            permanent=all(is_permanent_for_recipient(code) for code, _ in refused.values()),
        )

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    async def _transfer(
        self, notification: Notification, recipients: tuple[str, ...]
    ) -> dict[str, tuple[int, str]]:
        """The recipients that were refused while others were accepted, each with code and reply."""
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
            raise self._failed(
                explain(
                    error,
                    self._relay,
                    self._confidential,
                    connect=self._connect_seconds,
                    total=self._send_seconds,
                ),
                permanent=is_permanent(error),
            ) from None
        finally:
            # Looking up the own name may be slow, and it does not change.
            self._local_hostname = session.local_hostname
            session.close()
        return {address: (reply.code, reply.message) for address, reply in refused.items()}

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

    def _failed(self, message: str, *, permanent: bool = False) -> DeliveryFailedError:
        return delivery_failed(message, self._confidential, permanent=permanent)
