"""What happens next to a notification, in plain English, and what its reader can do.

This depends on which program delivers. certctl's server sends a notification once when it creates it, and
once a minute whatever is `pending`. A notification that fails then has no time for a next attempt, and
certctl never attempts it again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.services.cause_of_death import CauseOfDeath, cause_of_death, failed_attempts
from certctl_mcp.services.delivery_roles import OWN_DATABASE_ROLES, Deliverer
from storage.models import ChannelClosure, Closure, Notification, NotificationStatus

GRACE = OWN_DATABASE_ROLES.grace


@dataclass(frozen=True, slots=True)
class Remedies:
    """The tools or commands with which the reader can act; None if there is none."""

    requeue: str | None
    mark_read: str | None
    send: str | None
    channels: str = "list_channels"
    """Explains why nothing is sent over a channel."""
    summary: str = "dashboard_summary"
    """Shows the state of the queue."""


def tools(served: Collection[ToolGroup]) -> Remedies:
    """The remedies on a server with these tools, which recommend only what is served."""
    return Remedies(
        "requeue_notification" if ToolGroup.REQUEUE in served else None,
        "mark_notification_read" if ToolGroup.SETTLE in served else None,
        "send_notification" if ToolGroup.SEND in served else None,
    )


TOOLS = tools(frozenset(ToolGroup))
COMMANDS = Remedies(
    "certctl-mcp requeue",
    "certctl-mcp read",
    "certctl-mcp send",
    "certctl-mcp channels",
    "certctl-mcp summary",
)

_NOBODY = (
    "No running process delivers over its channel, so it waits until one that has the channel starts. If "
    "only others run for CERTCTL_NOTIFICATION_MISSING_NOTIFIER_AFTER, it is set aside as undelivered."
)
_ONCE_BY_CERTCTL = "certctl's server sends it within a minute, once; if that fails, it is stuck"

_WAITING_IS_FREE = "Waiting uses up no attempts."

_CLOSED = {
    Closure.PAUSED: "its channel is paused until {until}",
    Closure.TOLD_TO_WAIT: "its receiver asked to wait until {until}",
    Closure.HELD: "its channel is held in an outage, and is probed again at {until}",
    Closure.RATE_LIMITED: "its channel is at its rate limit until {until}",
}


def moment(when: datetime) -> str:
    """The time to the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def under_way(notification: Notification, now: datetime) -> bool:
    """Whether a worker holds the notification's lease and may still finish."""
    return notification.lease_expires_at is not None and notification.lease_expires_at > now


def why_closed(closure: ChannelClosure) -> str:
    """Why a notification over this channel waits, and until when."""
    return _CLOSED[closure.state].format(until=moment(closure.until))


def after_acceptance(deliverer: Deliverer, closed: ChannelClosure | None = None) -> str:
    """What happens next to a notification that was just accepted for a channel, which may be `closed`."""
    match deliverer:
        case Deliverer.PROCESS | Deliverer.RESCUE if closed is not None:
            return f"A running worker or server delivers it later: {why_closed(closed)}."
        case Deliverer.PROCESS | Deliverer.RESCUE:
            return "A running worker or server delivers it."
        case Deliverer.CERTCTL:
            return f"{_ONCE_BY_CERTCTL}."
        case Deliverer.NOBODY:
            return _NOBODY


def after_requeue(deliverer: Deliverer, max_attempts: int, closed: ChannelClosure | None = None) -> str:
    """What happens to a notification that has just been requeued for a channel that may be `closed`."""
    match deliverer:
        case Deliverer.PROCESS | Deliverer.RESCUE if closed is not None:
            return f"Attempted up to {max_attempts} times before it is dead, but later: {why_closed(closed)}."
        case Deliverer.PROCESS | Deliverer.RESCUE:
            return f"Attempted at once, up to {max_attempts} times before it is dead."
        case Deliverer.CERTCTL:
            return f"{_ONCE_BY_CERTCTL}."
        case Deliverer.NOBODY:
            return _NOBODY


def after_bulk_requeue(
    deliverers: Collection[Deliverer], *, channels: int = 1, closed: int = 0, remedies: Remedies = TOOLS
) -> str:
    """The same for many notifications, over so many channels that these deliver. `closed`: how many of the
    channels are paused, held or told to wait."""
    if Deliverer.CERTCTL not in deliverers:
        if deliverers == {Deliverer.NOBODY}:
            return "No running process delivers over their channels, so they wait until one starts."
        if closed == channels:
            return (
                f"They wait, because nothing is sent over their channels now; {remedies.channels} says why."
            )
        exceptions = [
            *(["no running process has the channel"] if Deliverer.NOBODY in deliverers else []),
            *([f"nothing is sent over it now, which {remedies.channels} explains"] if closed else []),
        ]
        unless = f" unless {', or '.join(exceptions)}" if exceptions else ""
        return f"They are attempted now{unless}; {remedies.summary} shows the progress."
    which = (
        "certctl's server" if len(deliverers) == 1 else "Where no process has the channel, certctl's server"
    )
    return (
        f"{which} sends 50 a minute, each once; what fails then is stuck and counted in {remedies.summary}."
    )


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What comes next at one moment, given which program delivers over the notification's channel."""

    deliverer: Deliverer
    max_attempts: int
    remedies: Remedies
    now: datetime
    grace: timedelta
    """Notifications that certctl has not sent for this long are left undelivered."""
    closed: ChannelClosure | None = None
    """Why nothing is sent over the notification's channel now."""

    def of(self, n: Notification, *, requeued: bool = False) -> str:
        """`requeued`: it failed before, and has been requeued if it is pending."""
        if under_way(n, self.now):
            end = moment(n.lease_expires_at) if n.lease_expires_at else "an unknown time"
            return f"Attempt {n.attempt_count} is in progress; its outcome is known by {end}."
        match n.status:
            case NotificationStatus.PENDING:
                return self._pending(n, requeued)
            case NotificationStatus.FAILED:
                return self._failed(n)
            case NotificationStatus.DEAD:
                return self._dead(n)
            case NotificationStatus.SENT:
                return self._sent(n)
            case NotificationStatus.READ:
                return _read(n)
            case NotificationStatus.OTHER:
                return "Its status is another program's, so it is neither delivered nor changed here."

    def _pending(self, n: Notification, requeued: bool) -> str:
        if n.lease_expires_at is not None:
            but = self._but(None)
            due = f"The worker of attempt {n.attempt_count} never finished, so it is due again{but}."
            return f"{due} {_NOBODY}" if self.deliverer is Deliverer.NOBODY else due
        again = "It has been requeued since. " if requeued else ""
        left = n.created_at + self.grace
        match self.deliverer:
            case Deliverer.CERTCTL if left <= self.now and not requeued:
                return (
                    "It is stuck: certctl's server delivers on this database, sends what is pending every "
                    "minute, and has not sent it. Check whether it is running."
                )
            case Deliverer.CERTCTL:
                return f"{again}certctl's server delivers on this database and will send it."
            case Deliverer.RESCUE:
                wait = format_duration(self.grace)
                return (
                    f"{again}certctl's server delivers on this database and should send it; what it leaves "
                    f"pending for {wait}, certctl-mcp takes over and attempts {wait} later."
                )
            case Deliverer.NOBODY:
                return f"{_due_now(requeued)}{self._but(None)}. {_NOBODY}"
            case Deliverer.PROCESS if but := self._but(None):
                return f"{_due_now(requeued)}{but}. {_WAITING_IS_FREE}"
            case Deliverer.PROCESS if requeued:
                return "It has been requeued since, is due now, and will be attempted automatically."
            case Deliverer.PROCESS:
                return "It is due now and will be attempted automatically."

    def _failed(self, n: Notification) -> str:
        if n.next_retry_at is not None and self.deliverer in (Deliverer.CERTCTL, Deliverer.RESCUE):
            when = moment(n.next_retry_at)
            return f"certctl's server delivers on this database and retries it after {when}."
        if self.deliverer is Deliverer.CERTCTL:
            return self._stuck(n)
        due = n.next_attempt_at
        if due is None and self.deliverer is Deliverer.RESCUE:
            # Taken over after certctl has finished with it.
            due = n.created_at + self.grace
        left = max(1, self.max_attempts - n.retry_count)
        count = f"{left} more attempt{'s' if left > 1 else ''} before it becomes a dead letter"
        but = self._but(due)
        if but or self.deliverer is Deliverer.NOBODY:
            when = "now" if due is None or due <= self.now else moment(due)
            reason = _NOBODY if self.deliverer is Deliverer.NOBODY else _WAITING_IS_FREE
            return f"The next attempt is due {when}{but}; {count}. {reason}"
        if due is None or due <= self.now:
            return f"The next attempt is due now and is automatic; {count}."
        wait = format_duration(timedelta(seconds=round((due - self.now).total_seconds())))
        return f"The next attempt is due {moment(due)}, in {wait}, and is automatic; {count}."

    def _but(self, due: datetime | None) -> str:
        """Why an attempt due then (None: now) has to wait. An outage may last beyond its next probe."""
        if self.closed is None or (self.closed.ends_at or self.closed.until) <= (due or self.now):
            return ""
        return f", but {why_closed(self.closed)}"

    def _stuck(self, n: Notification) -> str:
        if n.rescue_at is not None:
            why = "certctl-mcp took it over from certctl's server, but no running process has its channel."
        else:
            why = "certctl's server delivers on this database and never retries a failed first attempt."
        stuck = f"It is stuck: {why}"
        if self.remedies.requeue is None:
            return stuck
        return f"{stuck} {self.remedies.requeue} makes certctl's server send it again, once."

    def _dead(self, n: Notification) -> str:
        text = [f"It is a dead letter: {self._died_of(n)}. It will not be retried automatically."]
        if self.remedies.requeue is not None:
            text.append(f"Once the cause is fixed, {self.remedies.requeue} {self._requeued()}")
        if self.remedies.mark_read is not None:
            text.append(f"{self.remedies.mark_read} settles it without delivery.")
        return " ".join(text)

    def _died_of(self, n: Notification) -> str:
        match cause_of_death(n, self.max_attempts):
            case CauseOfDeath.REFUSED:
                return "the receiver refused it permanently"
            case CauseOfDeath.ABANDONED:
                return f"{n.abandoned_count} of its attempts never finished"
            case CauseOfDeath.NO_NOTIFIER:
                return "no running process had its channel"
            case CauseOfDeath.SPENT:
                failed = failed_attempts(n)
                return f"{failed} of {failed} attempt{'s' if failed > 1 else ''} failed"

    def _requeued(self) -> str:
        if self.deliverer is Deliverer.CERTCTL:
            return f"puts it back in the queue, and {_ONCE_BY_CERTCTL}."
        return f"retries it from scratch, with up to {self.max_attempts} attempts."

    def _sent(self, n: Notification) -> str:
        if n.sent_at is None:
            text = "It counts as sent but was NOT delivered: its channel had no notifier."
            if self.remedies.requeue is None:
                return text
            return f"{text} Once the channel is configured, {self.remedies.requeue} delivers it."
        if n.attempt_count == 0:
            return (
                f"Marked as sent {moment(n.sent_at)} by another program. certctl's server does so when it "
                "has delivered, and also when it has no notifier for the channel."
            )
        failures = f" after {n.retry_count} failed attempt{'s' if n.retry_count > 1 else ''}"
        return f"Delivered {moment(n.sent_at)}{failures if n.retry_count else ''}."


def _due_now(requeued: bool) -> str:
    return f"It {'has been requeued since and ' if requeued else ''}is due now"


def _read(n: Notification) -> str:
    when = f"Marked read {moment(n.read_at)}" if n.read_at else "Marked read"
    if n.sent_at is None:
        return f"{when} before it was delivered, so it will not be delivered."
    return f"Delivered {moment(n.sent_at)}. {when}."
