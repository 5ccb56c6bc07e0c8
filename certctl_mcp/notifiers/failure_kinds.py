"""The kinds of delivery failure, which deliveries, retries and the diagnosis share."""

from enum import StrEnum


class FailureKind(StrEnum):
    """Why a delivery failed; each kind calls for a different action."""

    CREDENTIALS = "credentials"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    OUTAGE = "outage"
    REFUSED = "refused"
    REQUEST = "request"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DNS = "dns"
    TLS = "tls"
    PROXY = "proxy"
    RECIPIENT = "recipient"
    MAILBOX = "mailbox"
    SENDER = "sender"
    SETUP = "setup"
    NO_NOTIFIER = "no_notifier"
    ABANDONED = "abandoned"
    DEFECT = "defect"
    UNKNOWN = "unknown"

    @property
    def is_permanent(self) -> bool:
        """Whether the response is about this particular alert, so that no later attempt can deliver it."""
        return self in _OF_THE_ALERT

    @property
    def of_channel(self) -> bool:
        """Whether the channel fails for everything that is sent over it, not just for this notification."""
        return self not in _OF_ONE_NOTIFICATION

    @property
    def is_answer_to_one(self) -> bool:
        """Whether the receiver works and refused only this notification."""
        return self in _ANSWERS_TO_ONE


_OF_THE_ALERT = frozenset({FailureKind.REFUSED, FailureKind.RECIPIENT})
_ANSWERS_TO_ONE = _OF_THE_ALERT | {FailureKind.MAILBOX}
_OF_ONE_NOTIFICATION = _ANSWERS_TO_ONE | {FailureKind.ABANDONED}
