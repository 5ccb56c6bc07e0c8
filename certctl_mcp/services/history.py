"""The history of a notification in plain English: what happened to it and what happens next.

It consists of times, numbers, HTTP statuses and our own words for each kind of failure. Text from senders and
receivers is not repeated in it, so it can be trusted where theirs can't.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from itertools import groupby

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classifying import classify, http_status
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from storage.models import Attempt, AttemptOutcome, Notification, NotificationStatus

MOST_RUNS = 6
"""Runs of similar attempts that are described; there are more only after many requeues."""

_FAILED = (AttemptOutcome.FAILED, AttemptOutcome.DEAD)

_ENDED = {
    AttemptOutcome.SENT: "delivered",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.DEAD: "failed for good",
    AttemptOutcome.SKIPPED: "found no notifier for the channel",
    AttemptOutcome.ABANDONED: "never finished",
}


class Deliverer(Enum):
    """Who delivers over a notification's channel."""

    PROCESS = auto()
    """A running process of this program."""
    CERTCTL = auto()
    """certctl's server, on its own database."""
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class Remedies:
    """The tools or commands that the reader can act with; None where there is none."""

    requeue: str | None
    mark_read: str | None
    send: str | None


def tools(served: Collection[ToolGroup]) -> Remedies:
    """Those of a server with these tools: only what is served is recommended."""
    return Remedies(
        "requeue_notification" if ToolGroup.REQUEUE in served else None,
        "mark_notification_read" if ToolGroup.SETTLE in served else None,
        "send_notification" if ToolGroup.SEND in served else None,
    )


TOOLS = tools(frozenset(ToolGroup))
COMMANDS = Remedies("certctl-mcp requeue", "certctl-mcp read", "certctl-mcp send")


def account(
    notification: Notification,
    attempts: Sequence[Attempt],
    now: datetime,
    *,
    max_attempts: int,
    earlier: int = 0,
    remedies: Remedies = TOOLS,
    deliverer: Deliverer = Deliverer.PROCESS,
) -> str:
    """A few sentences: acceptance, attempts, state at `now`, what comes next and what can be done.

    `attempts` are finished ones, oldest first, without `earlier` older ones; `max_attempts` is the retry
    policy's.
    """
    sentences = [f"Accepted {moment(notification.created_at)}.", *_attempts(attempts, earlier)]
    if notification.retry_count and not attempts:
        sentences.append(
            f"{notification.retry_count} failed attempts are counted but not recorded one by one."
        )
    sentences.append(_standing(notification, attempts, now, max_attempts, remedies, deliverer))
    return " ".join(sentences)


def attempts_summary(notification: Notification, max_attempts: int) -> str | None:
    """Such as `5 of 5 attempts`, for one that has failed since acceptance or the newest requeue."""
    failed = failed_attempts(notification)
    if notification.status is NotificationStatus.DEAD and failed < max_attempts:
        if notification.abandoned_count:
            return f"{notification.abandoned_count} attempts that never finished"
        return f"refused for good at attempt {failed}"
    if notification.status in (NotificationStatus.DEAD, NotificationStatus.FAILED) and failed:
        return f"{failed} of {max_attempts} attempts"
    return None


def failed_attempts(notification: Notification) -> int:
    """Those since acceptance or the newest requeue. The stored count leaves out the one it died of."""
    return notification.retry_count + (notification.status is NotificationStatus.DEAD)


def moment(when: datetime) -> str:
    """To the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def under_way(notification: Notification, now: datetime) -> bool:
    """Whether a worker holds the notification's lease and may still finish."""
    return notification.lease_expires_at is not None and notification.lease_expires_at > now


def _attempts(attempts: Sequence[Attempt], earlier: int) -> Iterator[str]:
    runs = [tuple(run) for _, run in groupby(attempts, key=lambda a: (a.outcome, a.late, _cause(a)))]
    omitted = earlier + sum(len(run) for run in runs[:-MOST_RUNS])
    if omitted:
        yield f"{omitted} earlier attempts are recorded."
    for run in runs[-MOST_RUNS:]:
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
    if attempt.outcome not in _FAILED:
        return ""
    status = http_status(attempt.error)
    if status is not None:
        return f" with HTTP {status}"
    kind = classify(attempt.error)
    return "" if kind is FailureKind.UNKNOWN else f": {REMEDIES[kind].cause}"


def _standing(
    n: Notification,
    attempts: Sequence[Attempt],
    now: datetime,
    max_attempts: int,
    remedies: Remedies,
    deliverer: Deliverer,
) -> str:
    if under_way(n, now):
        return f"Attempt {n.attempt_count} is in progress; its outcome is known by {_lease_end(n)}."
    match n.status:
        case NotificationStatus.PENDING:
            return _pending(n, attempts, deliverer)
        case NotificationStatus.FAILED:
            return _failed(n, now, max_attempts, remedies, deliverer)
        case NotificationStatus.DEAD:
            return _dead(n, max_attempts, remedies)
        case NotificationStatus.SENT:
            return _sent(n, remedies)
        case NotificationStatus.READ:
            return _read(n)


def _lease_end(n: Notification) -> str:
    return moment(n.lease_expires_at) if n.lease_expires_at else "an unknown time"


_NOBODY = "No running process delivers over its channel, so it waits until one that has the channel starts."


def _pending(n: Notification, attempts: Sequence[Attempt], deliverer: Deliverer) -> str:
    if n.lease_expires_at is not None:
        return f"The worker of attempt {n.attempt_count} never finished, so it is due again."
    requeued = any(attempt.outcome in _FAILED for attempt in attempts)
    match deliverer:
        case Deliverer.CERTCTL:
            again = "It has been requeued since. " if requeued else ""
            return f"{again}certctl's server delivers on this database and will send it."
        case Deliverer.NOBODY:
            return f"It {'has been requeued since and ' if requeued else ''}is due now. {_NOBODY}"
        case Deliverer.PROCESS if requeued:
            return "It has been requeued since, is due now, and will be attempted automatically."
        case Deliverer.PROCESS:
            return "It is due now and will be attempted automatically."


def _failed(
    n: Notification, now: datetime, max_attempts: int, remedies: Remedies, deliverer: Deliverer
) -> str:
    if deliverer is Deliverer.CERTCTL:
        return _failed_at_certctl(n, remedies)
    left = max(1, max_attempts - n.retry_count)
    count = f"{left} more attempt{'s' if left > 1 else ''} before it becomes a dead letter"
    if deliverer is Deliverer.NOBODY:
        when = "now" if n.next_retry_at is None or n.next_retry_at <= now else moment(n.next_retry_at)
        return f"The next attempt is due {when}; {count}. {_NOBODY}"
    if n.next_retry_at is None or n.next_retry_at <= now:
        return f"The next attempt is due now and is automatic; {count}."
    wait = format_duration(timedelta(seconds=round((n.next_retry_at - now).total_seconds())))
    return f"The next attempt is due {moment(n.next_retry_at)}, in {wait}, and is automatic; {count}."


def _failed_at_certctl(n: Notification, remedies: Remedies) -> str:
    if n.next_retry_at is not None:
        return f"certctl's server delivers on this database and retries it after {moment(n.next_retry_at)}."
    stuck = (
        "It is stuck: certctl's server delivers on this database and never retries a failed first attempt."
    )
    if remedies.requeue is None:
        return stuck
    return f"{stuck} {remedies.requeue} makes certctl's server send it again."


def _dead(n: Notification, max_attempts: int, remedies: Remedies) -> str:
    if n.retry_count < max_attempts - 1 and n.abandoned_count == 0:
        why = "It is a dead letter: the receiver refused it for good."
    elif n.abandoned_count > 0 and n.retry_count < max_attempts - 1:
        why = f"It is a dead letter: {n.abandoned_count} of its attempts never finished."
    else:
        why = f"It is a dead letter: {max_attempts} of {max_attempts} attempts failed."
    text = [f"{why} It will not be retried automatically."]
    if remedies.requeue is not None:
        text.append(
            f"Once the cause is fixed, {remedies.requeue} retries it from scratch, "
            f"with up to {max_attempts} attempts."
        )
    if remedies.mark_read is not None:
        text.append(f"{remedies.mark_read} settles it without delivery.")
    return " ".join(text)


def _sent(n: Notification, remedies: Remedies) -> str:
    if n.sent_at is None:
        text = "It counts as sent but was NOT delivered: its channel had no notifier."
        if remedies.requeue is None:
            return text
        return f"{text} Once the channel is configured, {remedies.requeue} delivers it."
    failures = f" after {n.retry_count} failed attempt{'s' if n.retry_count > 1 else ''}"
    return f"Delivered {moment(n.sent_at)}{failures if n.retry_count else ''}."


def _read(n: Notification) -> str:
    when = f"Marked read {moment(n.read_at)}" if n.read_at else "Marked read"
    if n.sent_at is None:
        return f"{when} before it was delivered, so it will not be delivered."
    return f"Delivered {moment(n.sent_at)}. {when}."
