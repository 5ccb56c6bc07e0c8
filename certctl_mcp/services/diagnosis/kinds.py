"""What kinds of failure are there, and what helps against each? In our own words, never in a receiver's."""

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why a delivery failed, as far as a person would do something else about it."""

    CREDENTIALS = "credentials"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    OUTAGE = "outage"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DNS = "dns"
    TLS = "tls"
    RECIPIENT = "recipient"
    SENDER = "sender"
    SETUP = "setup"
    NO_NOTIFIER = "no_notifier"
    ABANDONED = "abandoned"
    DEFECT = "defect"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a kind of failure most likely comes from, and what mends it."""

    cause: str
    mend: str
    of_channel: bool = True
    """Its channel fails, with whatever is sent; else it is this one alert that can't be delivered."""
    passes: bool = False
    """It may pass without anybody's doing."""


REMEDIES: dict[FailureKind, Remedy] = {
    FailureKind.CREDENTIALS: Remedy("credentials refused", "renew them in the channel's settings"),
    FailureKind.GONE: Remedy("destination gone or moved", "correct its URL in the settings"),
    FailureKind.RATE_LIMITED: Remedy(
        "too many for the receiver", "wait, or have its limit raised", passes=True
    ),
    FailureKind.OUTAGE: Remedy("receiver out of order", "see that it is up again", passes=True),
    FailureKind.REFUSED: Remedy(
        "content refused",
        "see why with get_notification, send a corrected alert, mark these read",
        of_channel=False,
    ),
    FailureKind.TIMEOUT: Remedy("no answer in time", "see that it is up and not overloaded", passes=True),
    FailureKind.CONNECTION: Remedy(
        "no connection, or it broke", "see that it is up and reachable", passes=True
    ),
    FailureKind.DNS: Remedy(
        "host name does not resolve", "correct the name, or this server's DNS", passes=True
    ),
    FailureKind.TLS: Remedy(
        "TLS fails, or its certificate is not trusted", "renew that, or set the channel's ca_file"
    ),
    FailureKind.RECIPIENT: Remedy(
        "recipient malformed or refused", "send anew to the right address, mark these read", of_channel=False
    ),
    FailureKind.SENDER: Remedy(
        "mail relay does not accept this sender", "correct from_address, or the relay's policy"
    ),
    FailureKind.SETUP: Remedy("channel not set up right", "correct its settings"),
    FailureKind.NO_NOTIFIER: Remedy("channel was not configured", "configure it"),
    FailureKind.ABANDONED: Remedy(
        "workers died while attempting it",
        "see the server's log for why, and requeue one first",
        of_channel=False,
    ),
    FailureKind.DEFECT: Remedy(
        "defect of the channel's notifier", "see the server's log, mend or upgrade the notifier"
    ),
    FailureKind.UNKNOWN: Remedy("not recognised", "see the sample with get_notification"),
}
