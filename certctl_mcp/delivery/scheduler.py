"""The scheduler: when the retry loop looks for due notifications. A state machine without I/O or a clock.

The loop reports each event, then takes the next step. News of a change makes it look at once. After a look it
waits until there is no more news before it queries when the next retry is due: while news keeps arriving, due
retries are found by the same looks.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

QUIET = timedelta(milliseconds=200)
"""How long there must be no news before the loop looks ahead."""

EMPTY_LOOK_PAUSE = timedelta(milliseconds=10)
"""The shortest time between two empty looks in a row and the next look. When something becomes due, every
process looks for it, and most find that another one has claimed it."""

SUSPECTS_INTERVAL = timedelta(seconds=1)
"""How often a busy loop looks for suspects."""

_NOW = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """Claim what is due, after a pause."""

    pause: timedelta


@dataclass(frozen=True, slots=True)
class LookForSuspects:
    """Claim notifications that may crash the process."""


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Query when the next notification becomes due."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, at most this long."""

    longest: timedelta


Step = Look | LookForSuspects | LookAhead | Wait


class _Phase(Enum):
    BUSY = auto()
    """There was news since the last time it was quiet."""
    QUIET = auto()
    """There was no news for a while."""
    LOOKING_AHEAD = auto()
    """And suspects have been looked for."""
    IDLE = auto()
    """The time of the next due notification is known."""


class Scheduler:
    """Decides the next step of one loop. Methods that return a bool return whether a waiting loop must
    wake."""

    def __init__(self, interval: timedelta) -> None:
        """`interval`: the longest time between two looks."""
        self._interval = interval
        self._phase = _Phase.BUSY
        self._look_at = _NOW
        self._news_during_look = False
        self._more_may_be_due = False
        self._found_before = False
        self._looking = False
        self._slot_freed_during_look = False
        self._earliest_look: datetime | None = None
        self._suspects_at: datetime | None = None
        self._suspect_ended = False

    def next_step(self, now: datetime, *, can_claim: bool) -> Step:
        """What the loop does at `now`. `can_claim`: there is a free slot."""
        if self._suspect_ended or self._until_suspects(now) == timedelta(0):
            return LookForSuspects()
        if self._look_at <= now:
            return Look(self._pause(now)) if can_claim else Wait(self._until_suspects(now))
        match self._phase:
            case _Phase.BUSY:
                return Wait(QUIET)
            case _Phase.QUIET:
                return LookForSuspects()
            case _Phase.LOOKING_AHEAD:
                return LookAhead()
            case _Phase.IDLE:
                # A clock that was set back must not lengthen it.
                return Wait(min(self._look_at - now, self._interval))

    def news(self) -> bool:
        """Something may have become due."""
        self._news_during_look = True
        self._look_at = _NOW
        return True

    def look_began(self) -> None:
        self._looking, self._slot_freed_during_look = True, False
        self._news_during_look = False
        if self._phase is not _Phase.BUSY:
            self._phase = _Phase.BUSY
            self._suspects_at = None

    def look_failed(self) -> None:
        self._looking = False

    def look_ended(
        self, now: datetime, *, found: int, more_may_be_due: bool, opens_at: datetime | None = None
    ) -> None:
        """`more_may_be_due`: the claims filled all free slots, overall or in a channel.

        `opens_at`: when the next channel with a possible backlog opens.
        """
        self._looking = False
        self._more_may_be_due = more_may_be_due
        self._suspects_at = self._suspects_at or now + SUSPECTS_INTERVAL
        # An empty look after one that found something was usually woken by what is claimed already.
        self._earliest_look = None if found or self._found_before else now + EMPTY_LOOK_PAUSE
        self._found_before = found > 0
        if not (self._news_during_look or (more_may_be_due and self._slot_freed_during_look)):
            self._look_at = now + self._interval
            if opens_at is not None:
                self._look_at = min(self._look_at, opens_at)
        else:
            # A sweep looks even if no look was wanted.
            self._look_at = _NOW

    def slot_freed(self, now: datetime) -> bool:
        """Another attempt can begin."""
        if self._looking:
            # Whether the look left anything for this slot is known when it ends.
            self._slot_freed_during_look = True
            return False
        return (self._more_may_be_due or self._look_at <= now) and self.news()

    def attempt_ended(self, now: datetime, *, will_be_due: bool, none_in_flight: bool) -> bool:
        """An outcome was recorded. `will_be_due`: the notification is to be attempted again later."""
        if self._look_at <= now:
            # The loop may be able to claim again.
            return True
        if self._phase is _Phase.BUSY or not (will_be_due or none_in_flight):
            return False
        self._phase = _Phase.QUIET
        return True

    def wait_passed(self, now: datetime) -> None:
        """No event woke the loop."""
        # With news that it can't act on, because no slot is free, it isn't quiet.
        if self._phase is _Phase.BUSY and now < self._look_at:
            self._phase = _Phase.QUIET
        elif self._phase is _Phase.IDLE and now < self._look_at - QUIET:
            # The clock was set back during the wait, by more than it could have been slowed down.
            self._look_at = now

    def suspect_ended(self) -> bool:
        """The attempt of a suspect has ended: the next one of its channel can begin."""
        self._suspect_ended = True
        return True

    def look_for_suspects_began(self) -> None:
        self._suspect_ended = False

    def look_for_suspects_failed(self) -> None:
        # It may have been wanted because the attempt of one has ended.
        self._suspect_ended = True

    def looked_for_suspects(self, now: datetime) -> None:
        self._suspects_at = now + SUSPECTS_INTERVAL
        if self._phase is _Phase.QUIET:
            self._phase = _Phase.LOOKING_AHEAD

    def looked_ahead(self, next_due_at: datetime | None) -> None:
        """When the next notification becomes due, if any will."""
        if next_due_at is not None:
            self._look_at = min(self._look_at, next_due_at)
        if self._phase is _Phase.LOOKING_AHEAD:
            self._phase = _Phase.IDLE

    def _until_suspects(self, now: datetime) -> timedelta:
        """The time until the next look for suspects while busy. A quiet loop looks for them anyway."""
        if self._suspects_at is None or self._phase is not _Phase.BUSY:
            return self._interval
        # A clock that was set back must not delay it.
        return min(max(timedelta(0), self._suspects_at - now), SUSPECTS_INTERVAL)

    def _pause(self, now: datetime) -> timedelta:
        if self._earliest_look is None:
            return timedelta(0)
        # A clock that was set back must not lengthen it.
        return min(max(timedelta(0), self._earliest_look - now), EMPTY_LOOK_PAUSE)
