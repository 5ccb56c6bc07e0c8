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
    FailureKind.CREDENTIALS: Remedy(
        "the receiver refuses the credentials", "renew them in the channel's settings"
    ),
    FailureKind.GONE: Remedy("the destination is gone or has moved", "correct its URL in the settings"),
    FailureKind.RATE_LIMITED: Remedy(
        "the receiver limits the rate", "wait, or have its limit raised", passes=True
    ),
    FailureKind.OUTAGE: Remedy("the receiver was out of order", "see that it is up again", passes=True),
    FailureKind.REFUSED: Remedy(
        "the receiver refuses the content",
        "see why with get_notification, send a corrected alert, mark these read",
        of_channel=False,
    ),
    FailureKind.TIMEOUT: Remedy(
        "the receiver did not answer in time", "see that it is up and reachable", passes=True
    ),
    FailureKind.CONNECTION: Remedy(
        "no connection, or it broke", "see that the receiver is up and no firewall is between", passes=True
    ),
    FailureKind.DNS: Remedy(
        "the host name does not resolve", "correct the name, or this server's DNS", passes=True
    ),
    FailureKind.TLS: Remedy(
        "TLS fails or the certificate is not trusted", "renew that certificate, or set the channel's ca_file"
    ),
    FailureKind.RECIPIENT: Remedy(
        "the recipient is malformed or refused",
        "send anew to the right address, mark these read",
        of_channel=False,
    ),
    FailureKind.SENDER: Remedy(
        "the mail relay does not take mail from this sender", "correct from_address, or the relay's policy"
    ),
    FailureKind.SETUP: Remedy("the channel is not set up right", "correct its settings"),
    FailureKind.NO_NOTIFIER: Remedy("no destination was configured for the channel", "configure it"),
    FailureKind.ABANDONED: Remedy(
        "workers died while they attempted it",
        "see the server's log for why, and requeue one first",
        of_channel=False,
    ),
    FailureKind.DEFECT: Remedy(
        "the channel's notifier has a defect", "see the server's log, and mend or upgrade the notifier"
    ),
    FailureKind.UNKNOWN: Remedy("not recognised: see the error", "look at the sample with get_notification"),
}
