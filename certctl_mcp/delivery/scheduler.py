"""The scheduler: when the retry loop polls for due notifications. A state machine without I/O or a clock.

The loop reports each event, then takes the next step. A change of the queue makes it poll at once. Once the
queue has been quiet for a while, the loop queries when the next retry is due. As long as changes keep coming,
the polls that they cause find due retries as well."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

QUIET = timedelta(milliseconds=200)
"""How long nothing must change before the loop queries when the next retry is due."""

EMPTY_POLL_PAUSE = timedelta(milliseconds=10)
"""The shortest time between two empty polls in a row and the next poll. When something becomes due, every
process polls, and most of them find that another one has claimed it."""

SUSPECTS_INTERVAL = timedelta(seconds=1)
"""How often a busy loop polls for suspects."""

_NOW = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Poll:
    """Claim what is due, after a pause."""

    pause: timedelta


@dataclass(frozen=True, slots=True)
class PollSuspects:
    """Claim notifications that may crash the process."""


@dataclass(frozen=True, slots=True)
class QueryNextDue:
    """Query when the next notification becomes due."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, at most this long."""

    longest: timedelta


Step = Poll | PollSuspects | QueryNextDue | Wait


class _Phase(Enum):
    BUSY = auto()
    """The queue changed or was polled since the last quiet time."""
    QUIET = auto()
    """Nothing has changed for a while."""
    QUERYING_NEXT_DUE = auto()
    """Nothing has changed for a while, and suspects have been polled."""
    IDLE = auto()
    """The time of the next due notification is known."""


class Scheduler:
    """Decides the next step of one loop. A method that returns a bool says whether a waiting loop must
    wake up."""

    def __init__(self, interval: timedelta) -> None:
        """`interval`: the longest time between two polls."""
        self._interval = interval
        self._phase = _Phase.BUSY
        self._poll_at = _NOW
        self._changed_during_poll = False
        self._more_may_be_due = False
        self._found_before = False
        self._polling = False
        self._slot_freed_during_poll = False
        self._earliest_poll: datetime | None = None
        self._suspects_at: datetime | None = None
        self._suspect_ended = False

    def next_step(self, now: datetime, *, can_claim: bool) -> Step:
        """What the loop does at `now`. `can_claim`: there is a free slot."""
        if self._suspect_ended or self._until_suspects(now) == timedelta(0):
            return PollSuspects()
        if self._poll_at <= now:
            return Poll(self._pause(now)) if can_claim else Wait(self._until_suspects(now))
        match self._phase:
            case _Phase.BUSY:
                return Wait(QUIET)
            case _Phase.QUIET:
                return PollSuspects()
            case _Phase.QUERYING_NEXT_DUE:
                return QueryNextDue()
            case _Phase.IDLE:
                # A clock that was set back must not lengthen it.
                return Wait(min(self._poll_at - now, self._interval))

    def queue_changed(self) -> bool:
        """Something may have become due."""
        self._changed_during_poll = True
        self._poll_at = _NOW
        return True

    def poll_began(self) -> None:
        self._polling, self._slot_freed_during_poll = True, False
        self._changed_during_poll = False
        if self._phase is not _Phase.BUSY:
            self._phase = _Phase.BUSY
            self._suspects_at = None

    def poll_failed(self) -> None:
        self._polling = False

    def poll_ended(
        self, now: datetime, *, found: int, more_may_be_due: bool, opens_at: datetime | None = None
    ) -> None:
        """`more_may_be_due`: the claims filled all free slots, overall or in a channel.

        `opens_at`: when the next channel with a possible backlog opens.
        """
        self._polling = False
        self._more_may_be_due = more_may_be_due
        self._suspects_at = self._suspects_at or now + SUSPECTS_INTERVAL
        # An empty poll after a successful one was usually caused by a change whose notifications are claimed
        # already.
        self._earliest_poll = None if found or self._found_before else now + EMPTY_POLL_PAUSE
        self._found_before = found > 0
        if not (self._changed_during_poll or (more_may_be_due and self._slot_freed_during_poll)):
            self._poll_at = now + self._interval
            if opens_at is not None:
                self._poll_at = min(self._poll_at, opens_at)
        else:
            # A sweep polls even if no poll was due.
            self._poll_at = _NOW

    def slot_freed(self, now: datetime) -> bool:
        """Another attempt can begin."""
        if self._polling:
            # Only when the poll ends is it known whether it left anything for this slot.
            self._slot_freed_during_poll = True
            return False
        return (self._more_may_be_due or self._poll_at <= now) and self.queue_changed()

    def attempt_ended(self, now: datetime, *, will_be_due: bool, none_in_flight: bool) -> bool:
        """An outcome was recorded. `will_be_due`: the notification is to be attempted again later."""
        if self._poll_at <= now:
            # The loop may be able to claim again.
            return True
        if self._phase is _Phase.BUSY or not (will_be_due or none_in_flight):
            return False
        self._phase = _Phase.QUIET
        return True

    def wait_passed(self, now: datetime) -> None:
        """No event woke the loop."""
        # A change that it can't act on, because no slot is free, is no quiet.
        if self._phase is _Phase.BUSY and now < self._poll_at:
            self._phase = _Phase.QUIET
        elif self._phase is _Phase.IDLE and now < self._poll_at - QUIET:
            # The clock was set back during the wait: slowing it down can't make such a difference.
            self._poll_at = now

    def suspect_ended(self) -> bool:
        """The attempt of a suspect has ended: the next one of its channel can begin."""
        self._suspect_ended = True
        return True

    def suspects_poll_began(self) -> None:
        self._suspect_ended = False

    def suspects_poll_failed(self) -> None:
        # The poll may have been due because the attempt of a suspect had ended.
        self._suspect_ended = True

    def suspects_poll_ended(self, now: datetime) -> None:
        self._suspects_at = now + SUSPECTS_INTERVAL
        if self._phase is _Phase.QUIET:
            self._phase = _Phase.QUERYING_NEXT_DUE

    def next_due_found(self, next_due_at: datetime | None) -> None:
        """When the next notification becomes due, if any will."""
        if next_due_at is not None:
            self._poll_at = min(self._poll_at, next_due_at)
        if self._phase is _Phase.QUERYING_NEXT_DUE:
            self._phase = _Phase.IDLE

    def _until_suspects(self, now: datetime) -> timedelta:
        """The time until the next poll for suspects while busy. A quiet loop polls for them anyway."""
        if self._suspects_at is None or self._phase is not _Phase.BUSY:
            return self._interval
        # A clock that was set back must not delay it.
        return min(max(timedelta(0), self._suspects_at - now), SUSPECTS_INTERVAL)

    def _pause(self, now: datetime) -> timedelta:
        if self._earliest_poll is None:
            return timedelta(0)
        # A clock that was set back must not lengthen it.
        return min(max(timedelta(0), self._earliest_poll - now), EMPTY_POLL_PAUSE)
