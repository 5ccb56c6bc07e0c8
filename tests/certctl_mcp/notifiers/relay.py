"""A real SMTP relay on loopback, which records accepted messages and refuses what the test configures."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USERNAME, PASSWORD = "ada", "correct-horse"


@dataclass(frozen=True)
class Accepted:
    """One accepted message with its envelope."""

    sender: str
    recipients: tuple[str, ...]
    mail: EmailMessage
    encrypted: bool
    authenticated: bool
    greeting: str


@dataclass
class Relay:
    """Accepts each step of the dialogue unless a reply is set for it."""

    address: tuple[str, int] = ("", 0)
    greeting_seconds: float = 0
    """Delay before the greeting."""
    sender_reply: str = ""
    recipient_replies: dict[str, str] = field(default_factory=dict)
    data_reply: str = ""
    data_seconds: float = 0
    """Delay before the reply to a message."""
    quit_seconds: float = 0
    """Delay before the reply to QUIT."""
    taken: list[Accepted] = field(default_factory=list)
    sessions: int = 0

    @property
    def name(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def only(self) -> Accepted:
        (taken,) = self.taken
        return taken


class _Session(SMTP):
    """Delays the greeting."""

    relay: Relay

    async def _handle_client(self) -> None:
        await asyncio.sleep(self.relay.greeting_seconds)
        await super()._handle_client()


class _Steps:
    """The handler. Separate from `Relay`, because aiosmtpd reads every attribute of its handler."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def handle_MAIL(  # noqa: N802 - the names are aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._relay.sender_reply:
            return self._relay.sender_reply
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._relay.recipient_replies:
            return self._relay.recipient_replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self._relay.data_seconds)
        if self._relay.data_reply:
            return self._relay.data_reply
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        transport = server.transport
        assert transport is not None
        taken = Accepted(
            str(envelope.mail_from),
            tuple(envelope.rcpt_tos),
            mail,
            encrypted=transport.get_extra_info("sslcontext") is not None,
            authenticated=bool(session.authenticated),
            greeting=str(session.host_name),
        )
        self._relay.taken.append(taken)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self._relay.quit_seconds)
        return "221 Bye"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
) -> AuthResult:
    right = given == LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def relaying(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
    smtputf8: bool = True,
) -> AsyncIterator[Relay]:
    """`starttls`: required before anything else. `tls`: from the first byte. `login`: required."""
    relay = Relay()

    settings: dict[str, Any] = {"authenticator": _authenticate, "auth_required": True} if login else {}

    def session() -> SMTP:
        relay.sessions += 1
        with warnings.catch_warnings():
            # aiosmtpd doesn't recognize TLS from the first byte, and would warn of a login without TLS.
            warnings.simplefilter("ignore")
            made = _Session(
                _Steps(relay),
                hostname="relay.example.com",
                enable_SMTPUTF8=smtputf8,
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_require_tls=tls is None,
                **settings,
            )
        made.relay = relay
        return made

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    relay.address = server.sockets[0].getsockname()
    yield relay
    server.close()
    await server.wait_closed()
