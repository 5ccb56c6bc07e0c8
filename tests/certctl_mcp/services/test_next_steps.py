"""On certctl's database, every sentence about what comes next says which program does it."""

from datetime import timedelta
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
from storage.models import NotificationStatus
from tests.builders import NOON, notification

MINUTE = timedelta(minutes=1)
OLD, YOUNG = NOON - 2 * GRACE, NOON - MINUTE


def said(deliverer: Deliverer, status: NotificationStatus, **overrides: Any) -> str:
    return NextSteps(deliverer, 5, COMMANDS, NOON, GRACE).of(notification(status=status, **overrides))


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
