"""The proof finds problems in the receivers' records."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certctl_mcp.demo.alerts import ALERTS, GONE_MAILBOX, REDIRECTED_MAIL, Alert
from certctl_mcp.demo.ledger import Arrival
from certctl_mcp.demo.proof import check_deliveries

ALERT = Alert(
    "Webhook", "ExpirationWarning", "api expires", "mc-api", requests=2, spacing=timedelta(seconds=2)
)
KEY = "notif-1"
REFUSED = Arrival("Webhook", '{"message": "api expires"}', "503", False, "webhook-id", KEY, at=10.0)
TAKEN = replace(REFUSED, answer="200", accepted=True, at=12.5)


def problem(alert: Alert, *arrivals: Arrival) -> str:
    (finding,) = check_deliveries({KEY: alert}, arrivals)
    return finding.problem


def test_a_delivery_after_a_refusal_is_no_problem() -> None:
    assert problem(ALERT, REFUSED, TAKEN) == ""


def test_an_alert_delivered_twice_with_the_same_key_is_no_problem() -> None:
    assert problem(ALERT, REFUSED, TAKEN, replace(TAKEN, at=20.0)) == ""


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ((), "0 requests instead of 2"),
        ((REFUSED, replace(REFUSED, at=12.5)), "never accepted"),
        ((REFUSED, replace(TAKEN, at=11.0)), "retried after 1.0 s instead of 2 s"),
        ((REFUSED, replace(TAKEN, key="notif-2")), "sent with keys other than its id: notif-2"),
        ((REFUSED, replace(TAKEN, key="")), "accepted without a key"),
        ((REFUSED, replace(TAKEN, content="another alert")), "1 requests instead of 2"),
    ],
)
def test_each_problem_is_described(arrivals: tuple[Arrival, ...], expected: str) -> None:
    assert problem(ALERT, *arrivals) == expected


def test_an_accepted_alert_that_should_have_been_refused_is_a_problem() -> None:
    refused = replace(ALERT, delivered=False, requests=1)
    assert problem(refused, TAKEN) == "accepted, but should have been refused"


def test_an_email_refused_at_its_envelope_is_identified_by_its_recipient() -> None:
    lost = replace(ALERT, recipient=GONE_MAILBOX, delivered=False, requests=1)
    assert problem(lost, Arrival("SMTP", GONE_MAILBOX, "550", accepted=False)) == ""


def test_no_message_is_part_of_another() -> None:
    every = (*ALERTS, REDIRECTED_MAIL)
    assert all(sum(alert.is_in(other.message) for other in every) == 1 for alert in every)
