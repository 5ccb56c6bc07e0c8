"""The account of a notification, sentence by sentence."""

from datetime import timedelta
from typing import Any

import pytest

from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.history import account, attempts_summary
from certctl_mcp.services.next_steps import tools
from storage.models import Attempt, AttemptOutcome, Notification, NotificationStatus
from tests.builders import NOON, TOOK, notification

NOW = NOON + timedelta(minutes=30)


def attempt(number: int, outcome: AttemptOutcome = AttemptOutcome.FAILED, **overrides: Any) -> Attempt:
    contents: dict[str, Any] = {
        "notification_id": "notif-0001",
        "number": number,
        "started_at": NOON + timedelta(minutes=number),
        "duration": TOOK,
        "outcome": outcome,
        "error": "HTTP 503 from hooks.example.com" if outcome is AttemptOutcome.FAILED else None,
        "worker": "worker-1",
        "late": False,
    }
    return Attempt(**contents | overrides)


def told(about: Notification, *attempts: Attempt) -> str:
    return str(account(about, attempts, NOW, max_attempts=5))


def in_state(status: NotificationStatus, **overrides: Any) -> Notification:
    return notification(status=status, **overrides)


def test_a_new_notification_is_attempted_automatically() -> None:
    assert told(notification()) == (
        "Accepted 2026-01-01 12:00:00 UTC. It is due now and will be attempted automatically."
    )


def test_a_failed_notification_has_its_next_attempt_and_the_number_left() -> None:
    waiting = in_state(
        NotificationStatus.FAILED, retry_count=2, attempt_count=2, next_retry_at=NOW + timedelta(seconds=100)
    )
    assert told(waiting, attempt(1), attempt(2)) == (
        "Accepted 2026-01-01 12:00:00 UTC. "
        "Attempts 1 to 2 (2026-01-01 12:01:00 UTC to 2026-01-01 12:02:00 UTC) failed with HTTP 503. "
        "The next attempt is due 2026-01-01 12:31:40 UTC, in 1m40s, and is automatic; "
        "3 more attempts before it becomes a dead letter."
    )


@pytest.mark.parametrize("due", [None, NOW, NOW - timedelta(hours=1)])
def test_a_failed_notification_without_a_future_retry_time_is_due_now(due: object) -> None:
    assert "The next attempt is due now" in told(
        in_state(NotificationStatus.FAILED, retry_count=1, next_retry_at=due)
    )


def test_the_account_of_a_dead_letter_says_what_can_be_done() -> None:
    dead = in_state(NotificationStatus.DEAD, retry_count=4, last_error="HTTP 503", attempt_count=5)
    story = told(
        dead, *(attempt(n) for n in range(1, 5)), attempt(5, AttemptOutcome.DEAD, error="HTTP 502 bad")
    )
    assert "Attempts 1 to 4 (" in story
    assert "Attempt 5 (2026-01-01 12:05:00 UTC) failed permanently with HTTP 502." in story
    assert story.endswith(
        "It is a dead letter: 5 of 5 attempts failed. It will not be retried automatically. "
        "Once the cause is fixed, requeue_notification retries it from scratch, with up to 5 attempts. "
        "mark_notification_read settles it without delivery."
    )


def test_a_permanent_failure_is_distinguished_from_exhausted_attempts() -> None:
    dead = in_state(NotificationStatus.DEAD, attempt_count=1)
    assert "the receiver refused it permanently" in told(
        dead, attempt(1, AttemptOutcome.DEAD, error="HTTP 410")
    )


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        # The process that made the last attempt allowed fewer or more of them than this one.
        ({"retry_count": 2, "last_error": "hooks.example.com answered 503: busy"}, "3 of 3 attempts failed"),
        (
            {"retry_count": 9, "last_error": "hooks.example.com answered 503: busy"},
            "10 of 10 attempts failed",
        ),
        ({"last_error": "no notifier configured for channel X; not delivered"}, "no running process had its"),
        ({"last_error": "HTTP 410", "abandoned_count": 1}, "the receiver refused it permanently"),
    ],
)
def test_what_it_died_of_does_not_depend_on_this_process_s_settings(
    overrides: dict[str, Any], why: str
) -> None:
    assert f"It is a dead letter: {why}" in told(in_state(NotificationStatus.DEAD, **overrides))


def test_the_account_says_if_attempts_never_finished() -> None:
    dead = in_state(NotificationStatus.DEAD, attempt_count=10, abandoned_count=10)
    story = told(dead, *(attempt(n, AttemptOutcome.ABANDONED, duration=None) for n in range(1, 11)))
    assert "Attempts 1 to 10 (" in story
    assert "never finished." in story
    assert "10 of its attempts never finished" in story


def test_a_delivery_is_described_with_the_number_of_failures_before_it() -> None:
    sent = in_state(
        NotificationStatus.SENT, sent_at=NOON + timedelta(minutes=3), retry_count=1, attempt_count=2
    )
    assert told(sent, attempt(1), attempt(2, AttemptOutcome.SENT)).endswith(
        "Delivered 2026-01-01 12:03:00 UTC after 1 failed attempt."
    )


def test_a_skipped_notification_is_not_described_as_delivered() -> None:
    skipped = in_state(NotificationStatus.SENT, error="no notifier configured for channel X")
    story = told(skipped, attempt(1, AttemptOutcome.SKIPPED, error="no notifier configured for channel X"))
    assert "NOT delivered" in story
    assert story.endswith("Once the channel is configured, requeue_notification delivers it.")


def test_an_attempt_in_flight_is_described_with_the_end_of_its_lease() -> None:
    claimed = notification(
        lease_owner="worker-1",
        lease_expires_at=NOW + timedelta(seconds=30),
        claimed_at=NOW,
        attempt_count=1,
    )
    assert "Attempt 1 is in progress; its outcome is known by 2026-01-01 12:30:30 UTC." in told(claimed)


def test_an_expired_lease_is_not_an_attempt_in_flight() -> None:
    lost = notification(
        lease_owner="worker-1", lease_expires_at=NOW - timedelta(seconds=1), claimed_at=NOON, attempt_count=1
    )
    assert "The worker of attempt 1 never finished" in told(lost)


def test_the_account_of_a_requeued_notification_includes_its_earlier_attempts() -> None:
    story = told(notification(attempt_count=1), attempt(1, AttemptOutcome.DEAD, error="HTTP 410"))
    assert "failed permanently with HTTP 410" in story
    assert story.endswith("It has been requeued since, is due now, and will be attempted automatically.")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("hooks.example.com answered 503 Service Unavailable: obey", "failed with HTTP 503."),
        ("no answer from hooks.example.com:443 within 30 s", "failed: no answer in time."),
        ("mail.example.com:587 refused the login: 535 obey", "failed: credentials refused."),
        ("slack: webhook returned HTTP 404: obey", "failed with HTTP 404."),
        ("obey", "failed."),
    ],
)
def test_the_reason_for_a_failure_is_in_our_own_words(error: str, why: str) -> None:
    story = told(in_state(NotificationStatus.FAILED, retry_count=1), attempt(1, error=error))
    assert f"Attempt 1 (2026-01-01 12:01:00 UTC) {why}" in story
    assert "obey" not in story


def test_attempts_that_are_not_loaded_are_counted() -> None:
    dead = in_state(NotificationStatus.DEAD, retry_count=4, attempt_count=30)
    story = str(account(dead, [attempt(29), attempt(30)], NOW, max_attempts=5, earlier=28))
    assert "28 earlier attempts are recorded. Attempts 29 to 30" in story


def test_the_account_of_a_read_notification_says_whether_it_was_delivered() -> None:
    settled = in_state(NotificationStatus.READ, read_at=NOW)
    assert "before it was delivered, so it will not be delivered" in told(settled)
    seen = in_state(NotificationStatus.READ, read_at=NOW, sent_at=NOON)
    assert "Delivered 2026-01-01 12:00:00 UTC. Marked read" in told(seen)


def test_a_late_outcome_changed_nothing() -> None:
    assert "only after the lease was lost, so this changed nothing" in told(
        notification(attempt_count=1), attempt(1, AttemptOutcome.SENT, late=True)
    )


def test_failures_recorded_by_another_program_are_counted() -> None:
    assert "3 failed attempts are counted but not recorded one by one." in told(
        in_state(NotificationStatus.FAILED, retry_count=3)
    )


def test_the_account_of_very_many_attempts_is_short() -> None:
    outcomes = [AttemptOutcome.FAILED, AttemptOutcome.DEAD]
    attempts = [attempt(n, outcomes[n % 2], error=None) for n in range(1, 101)]
    story = told(in_state(NotificationStatus.DEAD, retry_count=4), *attempts)
    assert "94 earlier attempts are recorded." in story
    assert len(story) < 1000


@pytest.mark.parametrize("status", NotificationStatus)
def test_the_account_contains_no_untrusted_text(status: NotificationStatus) -> None:
    planted = "OBEY"
    outside = dict.fromkeys(
        ("type", "channel", "recipient", "message", "certificate_id", "error", "last_error", "lease_owner"),
        planted,
    )
    attempts = [
        attempt(n, outcome, error=planted, worker=planted) for n, outcome in enumerate(AttemptOutcome, 1)
    ]
    assert planted not in told(in_state(status, id=planted, **outside), *attempts)


@pytest.mark.parametrize(
    ("served", "end"),
    [
        (ToolGroup.TRIAGE, "It will not be retried automatically."),
        (ToolGroup.SETTLE, "mark_notification_read settles it without delivery."),
    ],
)
def test_only_actions_that_are_served_are_suggested(served: ToolGroup, end: str) -> None:
    dead = notification(status=NotificationStatus.DEAD, retry_count=4, last_error="HTTP 503")
    said = str(account(dead, (), NOON, max_attempts=5, remedies=tools({served})))
    assert said.endswith(end)
    assert "requeue" not in said


@pytest.mark.parametrize(
    ("status", "overrides", "expected"),
    [
        (NotificationStatus.PENDING, {}, None),
        (NotificationStatus.FAILED, {"retry_count": 0}, None),
        (NotificationStatus.FAILED, {"retry_count": 3}, "3 of 5 attempts"),
        (NotificationStatus.DEAD, {"retry_count": 4}, "5 of 5 attempts"),
        (NotificationStatus.DEAD, {"retry_count": 0}, "refused permanently at attempt 1"),
        (NotificationStatus.DEAD, {"retry_count": 2}, "refused permanently at attempt 3"),
        (NotificationStatus.DEAD, {"retry_count": 2, "last_error": "HTTP 503"}, "3 of 3 attempts"),
        (NotificationStatus.DEAD, {"retry_count": 9, "last_error": "HTTP 503"}, "10 of 10 attempts"),
        (
            NotificationStatus.DEAD,
            {"last_error": "no notifier configured for channel X; not delivered"},
            "none, because no running process had the channel",
        ),
        (NotificationStatus.DEAD, {"abandoned_count": 10}, "10 attempts that never finished"),
        (
            NotificationStatus.DEAD,
            {"abandoned_count": 1, "last_error": "HTTP 410"},
            "refused permanently at attempt 1",
        ),
        (NotificationStatus.SENT, {"retry_count": 2, "sent_at": NOON}, None),
    ],
)
def test_attempts_are_summarized_as_a_reader_would_count_them(
    status: NotificationStatus, overrides: dict[str, Any], expected: str | None
) -> None:
    assert attempts_summary(in_state(status, **overrides), 5) == expected


@pytest.mark.parametrize(
    ("status", "deliverer", "said"),
    [
        (NotificationStatus.PENDING, Deliverer.NOBODY, "No running process delivers over its channel"),
        (NotificationStatus.FAILED, Deliverer.NOBODY, "No running process delivers over its channel"),
        (
            NotificationStatus.PENDING,
            Deliverer.CERTCTL,
            "certctl's server delivers on this database",
        ),
        (
            NotificationStatus.FAILED,
            Deliverer.CERTCTL,
            "requeue_notification makes certctl's server send",
        ),
    ],
)
def test_retries_are_called_automatic_only_if_a_process_makes_them(
    status: NotificationStatus, deliverer: Deliverer, said: str
) -> None:
    story = str(account(notification(status=status), (), NOON, max_attempts=5, deliverer=deliverer))
    assert said in story
    assert "automatic" not in story


def test_a_notification_sent_over_a_fallback_refers_to_its_dead_letter() -> None:
    story = told(notification(origin_id="notif-0000"))
    assert story.startswith(
        "Accepted 2026-01-01 12:00:00 UTC in place of the dead letter notif-0000, over its channel's "
        "fallback."
    )


@pytest.mark.parametrize(
    ("status", "overrides", "end"),
    [
        (NotificationStatus.SENT, {"sent_at": NOW}, "and was delivered 2026-01-01 12:30:00 UTC."),
        (NotificationStatus.DEAD, {}, "and became a dead letter there too."),
        (NotificationStatus.PENDING, {}, "and has not been delivered so far."),
    ],
)
def test_a_dead_letter_refers_to_the_notification_sent_over_its_fallback(
    status: NotificationStatus, overrides: dict[str, object], end: str
) -> None:
    replacement = in_state(status, id="notif-0002", **overrides)
    story = str(account(in_state(NotificationStatus.DEAD), (), NOW, max_attempts=5, replacement=replacement))
    assert f" notif-0002 took its place on its channel's fallback {end} It is a dead letter" in story
