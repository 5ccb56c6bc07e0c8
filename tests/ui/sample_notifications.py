"""The queue on the morning after a bad night: certctl's alerts and their outcomes."""

from datetime import timedelta
from random import Random

from tests.ui.rows import Stored

MAIL_RELAY_DOWN = "the connection to smtp.example.com:587 failed: Connection refused"
MAILBOX_GONE = (
    "smtp.example.com refused former.owner@example.com (550 5.1.1 User unknown in virtual mailbox table)"
)
SLACK_GONE = "hooks.slack.com answered 404: no_service"
CMDB_DOWN = (
    "cmdb.example.com answered 503: upstream connect error or disconnect/reset before headers. retried and "
    "the latest reset reason: remote connection failure, transport failure reason: delayed connect error: 111"
)
PAGERDUTY_BUSY = "events.pagerduty.com answered 429: Requests are sent too quickly; try again later"
TEAMS_SLOW = "no answer from prod-17.westeurope.logic.azure.com:443 within 30 s"

_MINUTE = timedelta(minutes=1)

_ALERTS = (
    ("ExpirationWarning", "mc-api-prod", "api.example.com expires in 7 days (serial 4f:1c:09)"),
    ("RenewalFailure", "mc-shop", "shop.example.com was not renewed: DNS-01 challenge failed, no TXT record"),
    (
        "DeploymentFailure",
        "mc-cdn",
        "cdn.example.com was renewed, but not deployed to edge-3: nginx -t failed",
    ),
    ("ExpirationWarning", "mc-vpn", "vpn.example.com expires in 1 day"),
    ("PolicyViolation", "mc-legacy", "legacy.example.com has a 1024-bit RSA key; the policy wants 2048"),
    (
        "RenewalFailure",
        "mc-mail",
        "mail.example.com was not renewed: the ACME order was rejected (rateLimited)",
    ),
    ("Revocation", "mc-build-agent", "build-agent-12.example.com was revoked: key compromise"),
    ("DeploymentFailure", "mc-ldap", "ldap.example.com was renewed, but slapd on ldap-2 did not reload"),
    ("ExpirationWarning", "mc-payments", "payments.example.com expires in 14 days"),
)
_GOOD_NEWS = (
    ("RenewalSuccess", "mc-www", "www.example.com was renewed until 2 March"),
    ("DeploymentSuccess", "mc-api-prod", "api.example.com was deployed to 6 of 6 targets"),
    ("RenewalSuccess", "mc-grafana", "grafana.example.com was renewed until 24 February"),
    ("DeploymentSuccess", "mc-gitlab", "gitlab.example.com was deployed to 2 of 2 targets"),
)
_RECIPIENTS = {
    "Email": ("oncall@example.com", "platform-team@example.com", "pki@example.com"),
    "Slack": ("#certificates",),
    "PagerDuty": ("platform",),
    "Webhook": ("cmdb",),
    "Teams": ("Security Operations",),
    "OpsGenie": ("pki-team",),
}


def bad_night() -> list[Stored]:
    """Newest first, and always the same except for the times, which depend on the time of the call."""
    rows = [*_just_now(), *_outage_of_the_mail_relay(), *_small_hours(), *_ordinary_traffic()]
    return sorted(rows, key=lambda row: row.age)


def _alert(number: int, channel: str, minutes: float, **state: object) -> Stored:
    kind, certificate, message = _ALERTS[number % len(_ALERTS)]
    recipients = _RECIPIENTS[channel]
    given = {
        "type": kind,
        "certificate_id": certificate,
        "message": message,
        "channel": channel,
        "recipient": recipients[number % len(recipients)],
        "age": minutes * _MINUTE,
        **state,
    }
    return Stored(**given)  # type: ignore[arg-type]


def _retrying(error: str, failures: int, next_in: float) -> dict[str, object]:
    return {
        "status": "failed",
        "last_error": error,
        "retry_count": failures,
        "next_in": next_in * _MINUTE,
        "attempts": (("failed", error),) * failures,
    }


def _worn_out(error: str) -> dict[str, object]:
    return {"last_error": error, "attempts": (*(("failed", error),) * 4, ("dead", error))}


def _refused(error: str) -> dict[str, object]:
    return {"last_error": error, "retry_count": 0, "attempts": (("dead", error),)}


def _sent_after(*errors: str) -> dict[str, object]:
    return {
        "status": "sent",
        "retry_count": len(errors),
        "attempts": (*(("failed", error) for error in errors), ("sent", None)),
    }


def _just_now() -> list[Stored]:
    return [
        _alert(3, "PagerDuty", 0.6, **_sent_after()),
        _alert(0, "Webhook", 2.2, **_retrying(CMDB_DOWN, 2, 0.8)),
        _alert(5, "Teams", 4, **_retrying(TEAMS_SLOW, 2, 1.4)),
        _alert(2, "Webhook", 9, **_retrying(CMDB_DOWN, 4, 6.5)),
        _alert(2, "PagerDuty", 9, **_sent_after(PAGERDUTY_BUSY)),
        _alert(7, "Slack", 17, **_refused(SLACK_GONE)),
        _alert(1, "Webhook", 26, **_worn_out(CMDB_DOWN)),
        _alert(
            6,
            "OpsGenie",
            31,
            status="sent",
            error="no notifier configured for channel OpsGenie; not delivered",
            attempts=(("skipped", None),),
        ),
        _alert(4, "Webhook", 38, **_worn_out(CMDB_DOWN)),
        _alert(4, "Email", 44, status="read", last_error=MAILBOX_GONE, recipient="former.owner@example.com"),
    ]


def _outage_of_the_mail_relay() -> list[Stored]:
    return [_alert(number, "Email", 182 + 19 * number, **_worn_out(MAIL_RELAY_DOWN)) for number in range(9)]


def _small_hours() -> list[Stored]:
    return [
        _alert(8, "Slack", 71, **_refused(SLACK_GONE)),
        _alert(6, "Email", 96, recipient="former.owner@example.com", **_refused(MAILBOX_GONE)),
        _alert(3, "Webhook", 118, **_worn_out(CMDB_DOWN)),
        _alert(0, "Slack", 140, **_refused(SLACK_GONE)),
        _alert(1, "PagerDuty", 150, **_sent_after(PAGERDUTY_BUSY, PAGERDUTY_BUSY)),
    ]


def _ordinary_traffic() -> list[Stored]:
    chance = Random(7)
    rows = []
    for _ in range(210):
        kind, certificate, message = chance.choice((*_ALERTS, *_GOOD_NEWS, *_GOOD_NEWS))
        channel = chance.choice(("Email", "Email", "Slack", "PagerDuty", "Webhook", "Teams"))
        rows.append(
            Stored(
                type=kind,
                certificate_id=certificate,
                message=message,
                channel=channel,
                recipient=chance.choice(_RECIPIENTS[channel]),
                status="sent",
                retry_count=0,
                age=chance.uniform(48, 60 * 23) * _MINUTE,
                attempts=(("sent", None),),
            )
        )
    return rows
