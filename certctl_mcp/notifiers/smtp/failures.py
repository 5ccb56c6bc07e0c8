"""Failures of mail: a sentence and a kind for each way in which an SMTP session can fail."""

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPConnectTimeoutError,
    SMTPDataError,
    SMTPException,
    SMTPReadTimeoutError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPStatus,
)

from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.excerpt import excerpt
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.os_errors import os_reason
from certctl_mcp.notifiers.smtp.refusals import Step, asks_to_wait, smtp_failure_kind

SessionError = (SMTPException, OSError)
"""What a session can raise; timeouts and TLS failures are OSErrors."""

# The first matching type counts, so special cases come before general ones.
_SENTENCES: tuple[tuple[type[Exception], str, FailureKind | Step], ...] = (
    (SMTPAuthenticationError, "{relay} refused the login: {reply}", FailureKind.CREDENTIALS),
    (SMTPSenderRefused, "{relay} refused the sender: {reply}", Step.SENDER),
    (SMTPDataError, "{relay} refused the message: {reply}", Step.MESSAGE),
    (SMTPConnectResponseError, "{relay} refused the session: {reply}", Step.SESSION),
    (SMTPConnectTimeoutError, "no connection to {relay} within {connect:g} s", FailureKind.TIMEOUT),
    (SMTPReadTimeoutError, "no answer from {relay} within {total:g} s", FailureKind.TIMEOUT),
    (TimeoutError, "no answer from {relay} within {total:g} s", FailureKind.TIMEOUT),
    (SMTPServerDisconnected, "{relay} closed the connection", FailureKind.CONNECTION),
    (SMTPResponseException, "{relay} answered {reply}", Step.SESSION),
    (
        ssl.SSLCertVerificationError,
        "the TLS certificate of {relay} is not trusted: {reason}",
        FailureKind.TLS,
    ),
    (ssl.SSLError, "TLS with {relay} failed: {reason}", FailureKind.TLS),
    (socket.gaierror, "the name of {relay} could not be resolved: {reason}", FailureKind.DNS),
    (OSError, "the connection to {relay} failed: {reason}", FailureKind.CONNECTION),
    (SMTPException, "{relay} can't be used as it is set up: {reply}", FailureKind.SETUP),
)
"""Each with its kind, or with the step whose reply determines the kind."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient that was not accepted, and why."""

    address: str
    code: int
    """The reply's code; 0 if this program refused it without asking the relay."""
    text: str

    @property
    def reply(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text

    @property
    def kind(self) -> FailureKind:
        if self.code == 0:
            return FailureKind.RECIPIENT
        return smtp_failure_kind(Step.RECIPIENT, self.code, self.text)


def session_failed(
    error: Exception, relay: str, confidential: Iterable[str], *, connect: float, total: float
) -> DeliveryFailedError:
    """The failure of a session that raised `error`; `connect` and `total` are the timeouts in seconds."""
    confidential = tuple(confidential)
    if isinstance(error, SMTPRecipientsRefused):
        refusals = [Refusal(refused.recipient, refused.code, refused.message) for refused in error.recipients]
        return recipients_refused(relay, refusals, confidential)
    code, said = 0, str(error)
    if isinstance(error, SMTPResponseException):
        if error.code == SMTPStatus.invalid_response:
            text = f"{relay} answered something that is not SMTP"
            return delivery_failed(text, confidential, kind=FailureKind.SETUP)
        code, said = error.code, error.message
    root = _root(error)
    template, kind_or_step = next(
        (sentence, kind_or_step) for type_, sentence, kind_or_step in _SENTENCES if isinstance(root, type_)
    )
    reply = excerpt(f"{code} {said}" if code else said, confidential)
    text = template.format(relay=relay, reply=reply, reason=os_reason(root), connect=connect, total=total)
    kind = smtp_failure_kind(kind_or_step, code, said) if isinstance(kind_or_step, Step) else kind_or_step
    return delivery_failed(text, confidential, kind=kind, told_to_wait=asks_to_wait(code, said))


def recipients_refused(
    relay: str, refusals: Iterable[Refusal], confidential: Iterable[str], accepted: Iterable[str] = ()
) -> DeliveryFailedError:
    """The failure of a mail that was refused for some or all of its recipients.

    It is permanent if none of them can ever be reached. Otherwise its kind is that of a temporary refusal,
    which is listed first, because the kind is derived from the error text alone.
    """
    confidential = tuple(confidential)
    ordered = sorted(refusals, key=lambda refusal: refusal.kind.is_permanent)
    listed = ", ".join(f"{refusal.address} ({excerpt(refusal.reply, confidential)})" for refusal in ordered)
    taken = ", ".join(accepted)
    return delivery_failed(
        f"{relay} took the mail for {taken} and refused {listed}" if taken else f"{relay} refused {listed}",
        confidential,
        kind=ordered[0].kind,
        told_to_wait=not taken and all(asks_to_wait(refusal.code, refusal.text) for refusal in ordered),
    )


def _root(error: Exception) -> BaseException:
    """The cause of a connection that could not be established, which the library wraps."""
    if isinstance(error, SMTPConnectError) and not isinstance(error, SMTPConnectTimeoutError):
        return error.__cause__ or error
    return error
