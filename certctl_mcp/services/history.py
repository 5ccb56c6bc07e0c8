"""The history of a notification in plain English: what happened to it, and its outlook.

It consists of times, numbers, HTTP statuses and our own words for each kind of failure. It doesn't repeat
text from senders and receivers, so it can be trusted, unlike that text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.cause_of_death import CauseOfDeath, cause_of_death, failed_attempts
from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.diagnosis.classification import classify, http_status
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from certctl_mcp.services.next_steps import GRACE, TOOLS, NextSteps, Remedies, moment
from certctl_mcp.text.untrusted import encode_id
from storage.models import Attempt, AttemptOutcome, ChannelClosure, Notification, NotificationStatus

MAX_RUNS = 6
"""The most runs of similar attempts that are described; there are more only after many requeues."""

FAILED = (AttemptOutcome.FAILED, AttemptOutcome.DEAD)

_ENDED = {
    AttemptOutcome.SENT: "delivered",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.TOLD_TO_WAIT: "was told to wait",
    AttemptOutcome.DEAD: "failed permanently",
    AttemptOutcome.SKIPPED: "found no notifier for the channel",
    AttemptOutcome.ABANDONED: "never finished",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A few sentences about a notification."""

    past: str
    """The account of acceptance and attempts."""
    next_steps: str
    """The state, what comes next and what can be done."""

    def __str__(self) -> str:
        return f"{self.past} {self.next_steps}"


def account(
    notification: Notification,
    attempts: Sequence[Attempt],
    now: datetime,
    *,
    max_attempts: int,
    earlier: int = 0,
    remedies: Remedies = TOOLS,
    deliverer: Deliverer = Deliverer.PROCESS,
    grace: timedelta = GRACE,
    replacement: Notification | None = None,
    closed: ChannelClosure | None = None,
) -> Account:
    """What happened to `notification`, and its outlook at `now`.

    `attempts` are finished ones, oldest first, without `earlier` older ones; `max_attempts` is the retry
    policy's. If certctl delivers, it has left alone what is pending for longer than `grace`. `replacement`
    was accepted in its place. `closed`: why nothing is sent over its channel now.
    """
    sentences = [_accepted(notification), *_attempts(attempts, earlier)]
    if notification.retry_count and not attempts:
        sentences.append(
            f"{notification.retry_count} failed attempts are counted but not recorded one by one."
        )
    if replacement is not None:
        sentences.append(_replaced(replacement))
    requeued = any(attempt.outcome in FAILED for attempt in attempts)
    next_steps = NextSteps(deliverer, max_attempts, remedies, now, grace, closed)
    return Account(" ".join(sentences), next_steps.of(notification, requeued=requeued))


def attempts_summary(notification: Notification, max_attempts: int) -> str | None:
    """Such as `5 of 5 attempts`, for a notification that has failed since acceptance or the newest
    requeue."""
    failed = failed_attempts(notification)
    if notification.status is NotificationStatus.FAILED:
        return f"{failed} of {max_attempts} attempts" if failed else None
    if notification.status is not NotificationStatus.DEAD:
        return None
    match cause_of_death(notification, max_attempts):
        case CauseOfDeath.REFUSED:
            return f"refused permanently at attempt {failed}"
        case CauseOfDeath.ABANDONED:
            return f"{notification.abandoned_count} attempts that never finished"
        case CauseOfDeath.NO_NOTIFIER:
            return "none, because no running process had the channel"
        case CauseOfDeath.SPENT:
            return f"{failed} of {failed} attempts"


def _accepted(n: Notification) -> str:
    when = f"Accepted {moment(n.created_at)}"
    if n.origin_id is None:
        return f"{when}."
    return f"{when} in place of the dead letter {encode_id(n.origin_id)}, over its channel's fallback."


def _replaced(replacement: Notification) -> str:
    instead = f"{encode_id(replacement.id)} took its place on its channel's fallback"
    if replacement.sent_at is not None:
        return f"{instead} and was delivered {moment(replacement.sent_at)}."
    if replacement.status is NotificationStatus.DEAD:
        return f"{instead} and became a dead letter there too."
    return f"{instead} and has not been delivered so far."


def _attempts(attempts: Sequence[Attempt], earlier: int) -> Iterator[str]:
    runs = [tuple(run) for _, run in groupby(attempts, key=lambda a: (a.outcome, a.late, _cause(a)))]
    omitted = earlier + sum(len(run) for run in runs[:-MAX_RUNS])
    if omitted:
        yield f"{omitted} earlier attempts are recorded."
    for run in runs[-MAX_RUNS:]:
        yield _run(run)


def _run(run: Sequence[Attempt]) -> str:
    first, last = run[0], run[-1]
    if first is last:
        subject, when = f"Attempt {first.number}", moment(first.started_at)
    else:
        subject = f"Attempts {first.number} to {last.number}"
        when = f"{moment(first.started_at)} to {moment(last.started_at)}"
    cause = _cause(first)
    text = f"{subject} ({when}) {_ENDED[first.outcome]}{cause}"
    if first.late:
        return f"{text}, but only after the lease was lost, so this changed nothing."
    return f"{text}."


def _cause(attempt: Attempt) -> str:
    """Why it failed, if that is recognized."""
    if attempt.outcome not in FAILED:
        return ""
    status = http_status(attempt.error)
    if status is not None:
        return f" with HTTP {status}"
    kind = classify(attempt.error)
    return "" if kind is FailureKind.UNKNOWN else f": {REMEDIES[kind].cause}"
