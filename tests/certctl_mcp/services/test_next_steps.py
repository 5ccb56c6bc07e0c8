"""On certctl's database, every sentence about what comes next says which program does it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.next_steps import (
    COMMANDS,
    GRACE,
    NextSteps,
    after_acceptance,
    after_bulk_requeue,
    after_requeue,
)
from storage.models import ChannelClosure, Closure, NotificationStatus
from tests.builders import NOON, notification

MINUTE = timedelta(minutes=1)
OLD, YOUNG = NOON - 2 * GRACE, NOON - MINUTE


def said(
    deliverer: Deliverer, status: NotificationStatus, closed: ChannelClosure | None = None, **overrides: Any
) -> str:
    return NextSteps(deliverer, 5, COMMANDS, NOON, GRACE, closed).of(notification(status=status, **overrides))


def closure(state: Closure, until: datetime = NOON + MINUTE, **overrides: Any) -> ChannelClosure:
    return ChannelClosure(channel="Webhook", state=state, until=until, waiting=1, **overrides)


@pytest.mark.parametrize(
    ("deliverer", "created_at", "expected"),
    [
        (Deliverer.CERTCTL, YOUNG, "certctl's server delivers on this database and will send it."),
        (Deliverer.CERTCTL, OLD, "It is stuck: certctl's server delivers on this database, sends"),
        (Deliverer.RESCUE, YOUNG, "certctl's server delivers on this database and should send it;"),
        (Deliverer.PROCESS, OLD, "It is due now and will be attempted automatically."),
    ],
)
def test_a_pending_notification(deliverer: Deliverer, created_at: Any, expected: str) -> None:
    assert said(deliverer, NotificationStatus.PENDING, created_at=created_at).startswith(expected)


@pytest.mark.parametrize(
    ("deliverer", "overrides", "expected"),
    [
        (Deliverer.CERTCTL, {}, "never retries a failed first attempt. certctl-mcp requeue makes certctl's"),
        (
            Deliverer.CERTCTL,
            {"next_retry_at": NOON},
            "on this database and retries it after",
        ),
        (Deliverer.CERTCTL, {"rescue_at": NOON}, "certctl-mcp took it over from certctl's server, but no"),
        (
            Deliverer.RESCUE,
            {"next_retry_at": NOON},
            "on this database and retries it after",
        ),
        (
            Deliverer.RESCUE,
            {"rescue_at": NOON + MINUTE},
            "due 2026-01-01 12:01:00 UTC, in 1m, and is automatic",
        ),
        (Deliverer.RESCUE, {"created_at": YOUNG}, "The next attempt is due 2026-01-01 12:04:00 UTC, in 4m"),
        (Deliverer.RESCUE, {"created_at": OLD}, "The next attempt is due now and is automatic; 5 more"),
    ],
)
def test_a_failed_notification(deliverer: Deliverer, overrides: dict[str, Any], expected: str) -> None:
    assert expected in said(deliverer, NotificationStatus.FAILED, **overrides)


def test_a_requeue_is_one_attempt_by_certctl_or_all_attempts_by_us() -> None:
    assert "once; if that fails, it is stuck" in said(Deliverer.CERTCTL, NotificationStatus.DEAD)
    assert "with up to 5 attempts" in said(Deliverer.RESCUE, NotificationStatus.DEAD)
    assert "once; if that fails, it is stuck" in after_requeue(Deliverer.CERTCTL, 5)
    assert after_requeue(Deliverer.RESCUE, 5) == after_requeue(Deliverer.PROCESS, 5)
    assert "certctl's server sends it within a minute" in after_acceptance(Deliverer.CERTCTL)


def test_after_a_bulk_requeue_the_text_says_which_ones_certctl_sends() -> None:
    assert after_bulk_requeue({Deliverer.PROCESS}).startswith("They are attempted now")
    assert after_bulk_requeue({Deliverer.CERTCTL}).startswith("certctl's server sends 50 a minute")
    both = after_bulk_requeue({Deliverer.CERTCTL, Deliverer.RESCUE})
    assert both.startswith("Where no process has the channel, certctl's server sends")


@pytest.mark.parametrize("status", [NotificationStatus.PENDING, NotificationStatus.FAILED])
def test_what_nobody_delivers_is_not_said_to_wait_forever(status: NotificationStatus) -> None:
    assert said(Deliverer.NOBODY, status).endswith("it is set aside as undelivered.")


def test_of_many_that_are_requeued_it_is_said_which_wait() -> None:
    assert after_bulk_requeue({Deliverer.NOBODY}).startswith(
        "No running process delivers over their channels"
    )
    some = after_bulk_requeue({Deliverer.NOBODY, Deliverer.PROCESS}, channels=3, closed=1)
    assert "now unless no running process has the channel, or nothing is sent over it now" in some
    assert after_bulk_requeue({Deliverer.PROCESS}, channels=2, closed=2).startswith("They wait, because")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (Closure.PAUSED, "its channel is paused until 2026-01-01 12:01:00 UTC"),
        (Closure.TOLD_TO_WAIT, "its receiver asked to wait until 2026-01-01 12:01:00 UTC"),
        (Closure.HELD, "its channel is held in an outage, and is probed again at 2026-01-01 12:01:00 UTC"),
        (Closure.RATE_LIMITED, "its channel is at its rate limit until 2026-01-01 12:01:00 UTC"),
    ],
)
def test_what_waits_for_a_closed_channel_is_not_said_to_be_attempted_now(state: Closure, why: str) -> None:
    closed = closure(state)
    pending = said(Deliverer.PROCESS, NotificationStatus.PENDING, closed)
    assert pending == f"It is due now, but {why}. Waiting uses up no attempts."
    failed = said(Deliverer.PROCESS, NotificationStatus.FAILED, closed, next_retry_at=NOON)
    assert failed.startswith(f"The next attempt is due now, but {why}; 5 more attempts")
    assert said(Deliverer.NOBODY, NotificationStatus.PENDING, closed).startswith(
        f"It is due now, but {why}. No"
    )
    assert after_requeue(Deliverer.PROCESS, 5, closed).endswith(f"but later: {why}.")
    assert after_acceptance(Deliverer.PROCESS, closed).endswith(f"later: {why}.")


def test_what_its_worker_left_is_not_said_to_go_on_where_nothing_delivers_it() -> None:
    left: dict[str, Any] = {"lease_expires_at": NOON - MINUTE, "attempt_count": 1}
    nobody = said(Deliverer.NOBODY, NotificationStatus.PENDING, **left)
    assert nobody.startswith("The worker of attempt 1 never finished, so it is due again. No running process")
    paused = said(Deliverer.PROCESS, NotificationStatus.PENDING, closure(Closure.PAUSED), **left)
    assert "due again, but its channel is paused until" in paused


def test_a_closure_that_ends_before_a_retry_is_due_does_not_delay_it() -> None:
    closed = closure(Closure.PAUSED)
    said_ = said(Deliverer.PROCESS, NotificationStatus.FAILED, closed, next_retry_at=NOON + MINUTE)
    assert said_.startswith("The next attempt is due 2026-01-01 12:01:00 UTC, in 1m, and is automatic;")


def test_an_outage_delays_a_retry_that_is_due_after_the_next_probe() -> None:
    held = closure(Closure.HELD, ends_at=NOON + 60 * MINUTE)
    later = said(Deliverer.PROCESS, NotificationStatus.FAILED, held, next_retry_at=NOON + 2 * MINUTE)
    assert later.startswith("The next attempt is due 2026-01-01 12:02:00 UTC, but its channel is held")


@pytest.mark.parametrize("status", [NotificationStatus.DEAD, NotificationStatus.SENT])
def test_a_closed_channel_does_not_matter_to_what_is_not_attempted(status: NotificationStatus) -> None:
    assert said(Deliverer.PROCESS, status, closure(Closure.PAUSED)) == said(Deliverer.PROCESS, status)
