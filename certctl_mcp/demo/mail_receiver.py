"""An SMTP server on loopback that has some mailboxes and refuses mail for all others."""

import asyncio
from collections.abc import Collection
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from certctl_mcp.demo.http_receiver import bound_socket
from certctl_mcp.demo.ledger import Arrival, Ledger

KEY_NAME = "Message-ID"


class MailReceiver:
    """Accepts mail for `mailboxes`. A handler, in aiosmtpd's terms."""

    def __init__(self, name: str, ledger: Ledger, mailboxes: Collection[str]) -> None:
        self._name = name
        self._ledger = ledger
        self._mailboxes = mailboxes
        self._socket = bound_socket()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def listen(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            # An explicit name, because looking it up may need a network.
            lambda: SMTP(self, hostname="mail.example.com"),
            sock=self._socket,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()

    async def handle_RCPT(  # noqa: N802 - the names are aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address not in self._mailboxes:
            answer = f"550 no such mailbox: {address}"
            self._ledger.write(Arrival(self._name, content=address, answer=answer, accepted=False))
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        self._ledger.write(
            Arrival(
                self._name,
                content=_text(mail),
                answer=f"250 OK, mail for {', '.join(envelope.rcpt_tos)}",
                accepted=True,
                key_name=KEY_NAME,
                key=mail["Message-ID"].strip("<>").partition("@")[0],
            )
        )
        return "250 OK"


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return body.get_content() if isinstance(body, EmailMessage) else ""
