"""The retry policy: the consequence of a failed attempt. A pure function, without a clock or a database.

With the default settings (5 attempts, base 1 minute, cap 1 hour) the waits after failures 1 to 4 are 1, 2, 4
and 8 minutes, and the fifth failure moves the notification to the dead-letter queue. The rule is certctl's.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from storage.channel_state import SHORTEST_WAIT

if TYPE_CHECKING:
    from certctl_mcp.config.settings import Settings

MAX_DEFERRAL = timedelta(hours=24)
"""Once the receiver has made a notification wait for longer than this, each further wait uses up an
attempt."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How many times a failing notification is attempted, and how long it waits between attempts."""

    max_attempts: int
    backoff_base: timedelta
    backoff_cap: timedelta
    jitter: float = 0.0
    """The largest fraction of the wait that may be added to it. Jitter never shortens a wait."""

    @classmethod
    def of(cls, settings: "Settings") -> "RetryPolicy":
        return cls(settings.max_attempts, settings.backoff_base, settings.backoff_cap, settings.retry_jitter)

    def wait(self, retry_count: int) -> timedelta:
        """The backoff after a failure that follows `retry_count` recorded failures: min(2^n * base, cap).

        Defined for every count: the doubling stops at the cap, so no count can overflow.
        """
        # Beyond this exponent even a base of one microsecond exceeds any cap that a timedelta can hold.
        if retry_count > 70:
            return self.backoff_cap
        return min(self.backoff_cap, _scaled(self.backoff_base, 2**retry_count))

    def after_failure(
        self, retry_count: int, *, retry_after: timedelta | None = None, random: float = 0.0
    ) -> "Retry | Dead":
        """The consequence of a failed attempt after `retry_count` recorded failures.

        `retry_after` is the wait requested by the receiver. It can lengthen the backoff, up to the cap.
        `random`, in [0, 1), is the fraction of the jitter to apply.
        """
        if retry_count >= self.max_attempts - 1:
            return Dead()
        wait = self.wait(retry_count)
        lengthened = max(wait + wait * (self.jitter * random), retry_after or timedelta(0))
        return Retry(min(lengthened, self.backoff_cap))

    def after_wait(
        self, times_before: int, waited: timedelta, *, retry_after: timedelta | None = None
    ) -> "Retry | None":
        """The consequence when the receiver refuses everything for now; None means that it counts as a
        failure.

        The wait is the time that the receiver gave, doubled for each of the `times_before` that it has
        consecutively asked this notification to wait. `waited` is the time since the first of these.
        """
        if waited > MAX_DEFERRAL:
            return None
        named = max(retry_after or SHORTEST_WAIT, SHORTEST_WAIT)
        return Retry(min(_scaled(named, 2 ** min(times_before, 70)), self.backoff_cap))


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempt again after `wait`."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt: the notification moves to the dead-letter queue."""


def _scaled(base: timedelta, factor: int) -> timedelta:
    try:
        return base * factor
    except OverflowError:
        return timedelta.max
