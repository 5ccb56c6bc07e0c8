"""Remedies for each kind of failure, in our own words, never a receiver's."""

from dataclasses import dataclass

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify, http_status


@dataclass(frozen=True, slots=True)
class Remedy:
    """The likely cause of a kind of failure, and how to fix it."""

    cause: str
    fix: str
    is_temporary: bool = False
    """Whether it may go away by itself."""


REMEDIES: dict[FailureKind, Remedy] = {
    FailureKind.CREDENTIALS: Remedy("credentials refused", "renew them in the channel's settings"),
    FailureKind.GONE: Remedy("destination gone or moved", "correct it in the channel's settings"),
    FailureKind.RATE_LIMITED: Remedy(
        "rate limit exceeded", "wait, or have the limit raised", is_temporary=True
    ),
    FailureKind.OUTAGE: Remedy("receiver unavailable", "check that it is up again", is_temporary=True),
    FailureKind.REFUSED: Remedy(
        "content refused",
        "see why with get_notification, send a corrected alert, mark these read",
    ),
    FailureKind.REQUEST: Remedy(
        "receiver refuses the request", "see why with get_notification, correct the channel or the receiver"
    ),
    FailureKind.TIMEOUT: Remedy(
        "no answer in time", "check that it is up and not overloaded", is_temporary=True
    ),
    FailureKind.CONNECTION: Remedy(
        "no connection, or it broke", "check that it is up and reachable", is_temporary=True
    ),
    FailureKind.DNS: Remedy(
        "host name does not resolve", "correct the name, or this server's DNS", is_temporary=True
    ),
    FailureKind.TLS: Remedy(
        "TLS fails, or its certificate is not trusted", "renew it, or set the channel's ca_file"
    ),
    FailureKind.PROXY: Remedy("the proxy fails or refuses", "correct the proxy, or the channel's settings"),
    FailureKind.RECIPIENT: Remedy(
        "recipient malformed or unknown", "send again to the right address, mark these read"
    ),
    FailureKind.MAILBOX: Remedy(
        "recipient's mailbox full or disabled", "have it emptied or enabled", is_temporary=True
    ),
    FailureKind.SENDER: Remedy(
        "mail relay's policy refuses it", "correct from_address or the login, or the relay's policy"
    ),
    FailureKind.SETUP: Remedy("channel set up wrongly", "correct its settings"),
    FailureKind.NO_NOTIFIER: Remedy("channel was not configured", "configure it"),
    FailureKind.ABANDONED: Remedy(
        "workers died while attempting it", "see the server's log for why, and requeue one first"
    ),
    FailureKind.DEFECT: Remedy(
        "bug in the channel's notifier", "see the server's log, fix or upgrade the notifier"
    ),
    FailureKind.UNKNOWN: Remedy("not recognized", "see the sample with get_notification"),
}

_LOOKED_AT = 400
"""The first characters of an error, from which its kind is recognized."""


def failure_label(error: str) -> str | None:
    """A failure in a few words, such as `HTTP 503` or `no answer in time`; None if it is not recognized."""
    beginning = error[:_LOOKED_AT]
    status = http_status(beginning)
    if status is not None:
        return f"HTTP {status}"
    kind = classify(beginning)
    return None if kind is FailureKind.UNKNOWN else REMEDIES[kind].cause
