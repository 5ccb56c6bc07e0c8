"""The scheduler: when the retry loop looks for due notifications. A state machine without I/O or a clock.

The loop reports each event, then does the step that comes next. News makes it look at once. After a look it
waits until things are quiet before it asks the database when the next retry is due: while news keeps
arriving, whatever is due is found with it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

QUIET = timedelta(milliseconds=200)
"""How long there must be no news before the loop looks ahead."""

EMPTY_LOOK_PAUSE = timedelta(milliseconds=10)
"""The shortest time between a look that found nothing and the next one. When something becomes due, every
process looks for it, and most find that another one has claimed it."""

_NOW = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """Claim what is due, after a pause."""

    pause: timedelta


@dataclass(frozen=True, slots=True)
class LookForSuspects:
    """Claim a notification that may crash its worker."""


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Ask the database when the next notification becomes due."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, at most this long."""

    longest: timedelta


Step = Look | LookForSuspects | LookAhead | Wait


class _Phase(Enum):
    BUSY = auto()
    """There was news since the last time it was quiet."""
    QUIET = auto()
    """No news for a while: time for what must wait for that."""
    NO_SUSPECTS = auto()
    """And there is no suspect to attempt."""
    IDLE = auto()
    """It is known when the next notification becomes due."""


class Scheduler:
    """Decides the next step of one loop. Methods that return a bool say whether a waiting loop must wake."""

    def __init__(self, interval: timedelta) -> None:
        """`interval`: the longest time between two looks."""
        self._interval = interval
        self._phase = _Phase.BUSY
        self._look_at = _NOW
        self._news_during_look = False
        self._more_may_be_due = False
        self._earliest_look: datetime | None = None

    def next_step(self, now: datetime, *, can_claim: bool) -> Step:
        """What the loop does at `now`. `can_claim`: there is a free slot."""
        if self._look_at <= now:
            return Look(self._pause(now)) if can_claim else Wait(self._interval)
        match self._phase:
            case _Phase.BUSY:
                return Wait(QUIET)
            case _Phase.QUIET:
                return LookForSuspects()
            case _Phase.NO_SUSPECTS:
                return LookAhead()
            case _Phase.IDLE:
                return Wait(self._look_at - now)

    def news(self) -> bool:
        """Something may have become due."""
        self._news_during_look = True
        self._look_at = _NOW
        return True

    def look_began(self) -> None:
        self._news_during_look = False
        self._phase = _Phase.BUSY

    def look_ended(self, now: datetime, *, found: int, more_may_be_due: bool) -> None:
        """`more_may_be_due`: what was claimed filled the slots that there were, in all or in a channel."""
        self._more_may_be_due = more_may_be_due
        self._earliest_look = None if found else now + EMPTY_LOOK_PAUSE
        if not self._news_during_look:
            self._look_at = now + self._interval

    def slot_freed(self, now: datetime) -> bool:
        """Another attempt can begin."""
        return (self._more_may_be_due or self._look_at <= now) and self.news()

    def attempt_ended(self, now: datetime, *, will_be_due: bool, none_in_flight: bool) -> bool:
        """An outcome was recorded. `will_be_due`: the notification is to be attempted again later."""
        if self._look_at <= now:
            # What kept the loop from claiming may be over.
            return True
        if self._phase is _Phase.BUSY or not (will_be_due or none_in_flight):
            return False
        self._phase = _Phase.QUIET
        return True

    def wait_passed(self) -> None:
        """No event woke the loop."""
        if self._phase is _Phase.BUSY:
            self._phase = _Phase.QUIET

    def no_suspects(self) -> None:
        """There is none, or none can be attempted now."""
        if self._phase is _Phase.QUIET:
            self._phase = _Phase.NO_SUSPECTS

    def looked_ahead(self, next_due_at: datetime | None) -> None:
        """When the next notification becomes due, if any will."""
        if next_due_at is not None:
            self._look_at = min(self._look_at, next_due_at)
        if self._phase is _Phase.NO_SUSPECTS:
            self._phase = _Phase.IDLE

    def _pause(self, now: datetime) -> timedelta:
        if self._earliest_look is None:
            return timedelta(0)
        # A clock that was set back must not lengthen it.
        return min(max(timedelta(0), self._earliest_look - now), EMPTY_LOOK_PAUSE)
