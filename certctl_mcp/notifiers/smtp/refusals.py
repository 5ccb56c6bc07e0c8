"""The table of SMTP replies that refuse something: the kind of failure for each.

A reply is permanent only if it is about this mail: its recipient (enhanced status codes 5.1.x, RFC 3463) or
its content. A policy, a quota, a full mailbox or a login can be fixed, so the mail is retried.
"""

import re
from enum import Enum

from certctl_mcp.notifiers.failure_kinds import FailureKind


class Step(Enum):
    """The part of an SMTP session that was refused."""

    SESSION = "session"
    SENDER = "sender"
    RECIPIENT = "recipient"
    MESSAGE = "message"


def smtp_failure_kind(step: Step, code: int, text: str) -> FailureKind:
    """The kind of failure that a reply with `code` and `text` indicates."""
    if code in _LOGIN_REQUIRED:
        return FailureKind.CREDENTIALS
    if asks_to_wait(code, text):
        return FailureKind.RATE_LIMITED
    if 400 <= code < 500:
        return FailureKind.OUTAGE
    if step in (Step.SESSION, Step.SENDER):
        return FailureKind.SENDER
    if _OF_THE_SENDER.search(text):
        # Postfix and others refuse a sender only once they know the recipient.
        return FailureKind.SENDER
    enhanced = _ENHANCED.search(text)
    status = enhanced["status"] if enhanced else _enhanced_status(step, code, text)
    return next((kind for pattern, kind in _BY_STATUS if pattern.fullmatch(status)), FailureKind.SENDER)


def asks_to_wait(code: int, text: str) -> bool:
    """Whether the relay limits its load, so that all mail must wait and none has failed."""
    return 400 <= code < 500 and _TOO_MUCH.search(text) is not None


_LOGIN_REQUIRED = frozenset({530, 534, 535, 538})

_ENHANCED = re.compile(r"(?:\A|\s)[#\[]?5\.(?P<status>[0-9]{1,3}\.[0-9]{1,3})(?![.0-9])", re.ASCII)

_TOO_MUCH = re.compile(
    r"\btoo (?:many|fast|quickly|frequent)|\brate[ -]?limit|\bthrottl|\bslow down|\bquota\b|"
    r"\b4\.7\.28\b|\b4\.3\.2 .{0,40}limit",
    re.IGNORECASE | re.ASCII,
)
_OF_THE_SENDER = re.compile(
    r"\bsender (?:address|domain|verif|reject|unknown|invalid|is )|\benvelope sender\b|\bfrom address\b|"
    r"\bSPF\b",
    re.IGNORECASE | re.ASCII,
)
_BLOCKED = re.compile(
    r"\bblock(?:ed|list)|\bblacklist|\brelay(?:ing)?\b|\b(?:client|access|service)\b.{0,40}\b(?:reject|denied)",
    re.IGNORECASE | re.ASCII,
)
_NO_SUCH_RECIPIENT = re.compile(
    r"\bno such (?:user|mailbox|recipient|address|person|account)|"
    r"\b(?:user|mailbox|recipient|address|account) (?:is )?(?:unknown|not found|does ?n[o']t exist)|"
    r"\b(?:user|mailbox|recipient|address|account) does not exist|"
    r"\bunknown (?:user|mailbox|recipient|address|local)|\binvalid (?:mailbox|recipient)|"
    r"\bnull mx\b",
    re.IGNORECASE | re.ASCII,
)
_TOO_LARGE = re.compile(
    r"\btoo (?:large|big|long)\b|\bsize (?:limit|exceed)|\bexceeds? .{0,40}\bsize", re.IGNORECASE | re.ASCII
)
_FULL = re.compile(r"\bfull\b|quota|\bdisabled\b|\binactive\b|\bsuspended\b", re.IGNORECASE | re.ASCII)

_DOMAIN_TAKES_NO_MAIL = 556

_BY_STATUS = tuple(
    (re.compile(status, re.ASCII), kind)
    for status, kind in (
        # About the sender's address, although the subject is addressing.
        (r"1\.[789]", FailureKind.SENDER),
        (r"1\.[0-9]+", FailureKind.RECIPIENT),
        (r"2\.3|3\.4", FailureKind.REFUSED),
        (r"2\.[0-9]+", FailureKind.MAILBOX),
        (r"4\.5", FailureKind.RATE_LIMITED),
        # Not about the content but the recipient's address, which a relay with SMTPUTF8 accepts.
        (r"6\.[79]", FailureKind.SETUP),
        (r"6\.[0-9]+", FailureKind.REFUSED),
    )
)
"""The kinds by enhanced status code without its class; all others are the relay's policy."""


def _enhanced_status(step: Step, code: int, text: str) -> str:
    """The enhanced status, without its class, that corresponds to a reply without one."""
    unknown = code == _DOMAIN_TAKES_NO_MAIL or _NO_SUCH_RECIPIENT.search(text)
    if step is Step.RECIPIENT and unknown and not _BLOCKED.search(text):
        return "1.1"
    if step is Step.MESSAGE and _TOO_LARGE.search(text):
        return "3.4"
    return "2.2" if _FULL.search(text) else ""
