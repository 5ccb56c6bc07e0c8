"""Why was a mail not taken, and can it ever be? Each way an SMTP session can break."""

import ssl
from collections.abc import Iterable, Mapping

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

from certctl_mcp.notifiers.excerpt import excerpt
from certctl_mcp.notifiers.os_errors import os_reason

SessionError = (SMTPException, OSError)
"""What a session can raise; time-outs and TLS failures are OSErrors."""

_NEVER_FOR_THE_RECIPIENT = frozenset({550, 551, 553, 556})
"""No such mailbox, not here, not a name, no mail at that domain. A full mailbox (552) may be emptied, and a
refusal by policy (554) be lifted."""

# The first type that fits counts, so the particular ones stand before the general.
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (SMTPAuthenticationError, "{relay} refused the login: {reply}"),
    (SMTPSenderRefused, "{relay} refused the sender: {reply}"),
    (SMTPDataError, "{relay} refused the message: {reply}"),
    (SMTPConnectResponseError, "{relay} refused the session: {reply}"),
    (SMTPConnectTimeoutError, "no connection to {relay} within {connect:g} s"),
    (SMTPReadTimeoutError, "no answer from {relay} within {total:g} s"),
    (TimeoutError, "no answer from {relay} within {total:g} s"),
    (SMTPServerDisconnected, "{relay} closed the connection"),
    (SMTPResponseException, "{relay} answered {reply}"),
    (ssl.SSLCertVerificationError, "the TLS certificate of {relay} is not trusted: {reason}"),
    (ssl.SSLError, "TLS with {relay} failed: {reason}"),
    (OSError, "the connection to {relay} failed: {reason}"),
    (SMTPException, "{relay} can't be used as it is set up: {reply}"),
)


def explain(
    error: Exception, relay: str, confidential: Iterable[str], *, connect: float, total: float
) -> str:
    """A sentence for a person; `connect` and `total` are the time-outs in seconds."""
    if isinstance(error, SMTPRecipientsRefused):
        refusals = {refused.recipient: (refused.code, refused.message) for refused in error.recipients}
        return f"{relay} refused {list_refusals(refusals, confidential)}"
    if isinstance(error, SMTPResponseException):
        if error.code == SMTPStatus.invalid_response:
            return f"{relay} answered something that is not SMTP"
        said = f"{error.code} {error.message}"
    else:
        said = str(error)
    root = _root(error)
    template = next(sentence for kind, sentence in _SENTENCES if isinstance(root, kind))
    return template.format(
        relay=relay,
        reply=excerpt(said, confidential),
        reason=os_reason(root),
        connect=connect,
        total=total,
    )


def is_permanent(error: Exception) -> bool:
    """Whether the same mail can never be taken.

    That is so for a message refused as such, and for recipients of whom none exists. A 4xx says itself
    that it will pass; a login, a sender or a missing capability is for the operator to put right.
    """
    if isinstance(error, SMTPDataError):
        return error.code >= 500
    if isinstance(error, SMTPRecipientsRefused):
        return all(is_permanent_for_recipient(refused.code) for refused in error.recipients)
    return False


def is_permanent_for_recipient(code: int) -> bool:
    return code in _NEVER_FOR_THE_RECIPIENT


def list_refusals(refusals: Mapping[str, tuple[int, str]], confidential: Iterable[str]) -> str:
    """Such as `a@example.com (550 no such user), b@example.com (451 try later)`."""
    return ", ".join(
        f"{address} ({code} {excerpt(message, confidential)})"
        for address, (code, message) in refusals.items()
    )


def _root(error: Exception) -> BaseException:
    """What is behind the library's word for a connection that did not come about."""
    if isinstance(error, SMTPConnectError) and not isinstance(error, SMTPConnectTimeoutError):
        return error.__cause__ or error
    return error
