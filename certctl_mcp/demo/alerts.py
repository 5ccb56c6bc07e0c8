"""The alerts that the demo sends, and the outcome that its proof expects of each."""

from dataclasses import dataclass
from datetime import timedelta

MAILBOX = "oncall@example.com"
GONE_MAILBOX = "former.colleague@example.com"
GONE_CHANNEL = "Old-CMDB"

RETRY_AFTER = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. No message contains another, so that the receivers' records can be told apart."""

    channel: str
    type: str
    message: str
    certificate_id: str
    recipient: str = ""
    delivered: bool = True
    """Whether its receiver accepts it in the end."""
    requests: int = 1
    """The least number of requests to its receiver. Delivery is at least once, so there may be more."""
    spacing: timedelta = timedelta(0)
    """The least time between two requests, as the receiver requires."""

    @property
    def label(self) -> str:
        return f"{self.certificate_id} over {self.channel}"

    def is_in(self, content: str) -> bool:
        """Whether this is the alert that a receiver got. Of a refused mail, the record may contain only the
        address."""
        return self.message in content or content == self.recipient


GOOD_MAIL = Alert(
    channel="Email",
    recipient=MAILBOX,
    type="ExpirationWarning",
    message="api.example.com expires in 7 days",
    certificate_id="mc-api",
)
SLACK = Alert(
    channel="Slack",
    type="RenewalFailure",
    message="shop.example.com was not renewed: DNS challenge failed",
    certificate_id="mc-shop",
    requests=3,
    spacing=RETRY_AFTER,
)
WEBHOOK = Alert(
    channel="Webhook",
    type="DeploymentFailure",
    message="cdn.example.com was renewed, but not deployed to edge-3",
    certificate_id="mc-cdn",
    requests=2,
)
PAGERDUTY = Alert(
    channel="PagerDuty",
    type="ExpirationWarning",
    message="pay.example.com expires in 6 hours",
    certificate_id="mc-pay",
)
BAD_MAIL = Alert(
    channel="Email",
    recipient=GONE_MAILBOX,
    type="PolicyViolation",
    message="intranet.example.com has a key of 1024 bits",
    certificate_id="mc-intranet",
    delivered=False,
)
GONE = Alert(
    channel=GONE_CHANNEL,
    type="Revocation",
    message="vpn.example.com was revoked: its key is known",
    certificate_id="mc-vpn",
    delivered=False,
)

ALERTS = (GOOD_MAIL, SLACK, WEBHOOK, PAGERDUTY, BAD_MAIL, GONE)
"""The alerts in the order in which they are sent."""

REDIRECTED_MAIL = Alert(
    channel="Email",
    recipient=MAILBOX,
    type="PolicyViolation",
    message="intranet.example.com has a 1024-bit key (first sent to a mailbox that no longer exists)",
    certificate_id="mc-intranet",
)
"""The alert that the assistant sends instead of the mail to the wrong recipient."""
