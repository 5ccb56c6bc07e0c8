"""Tallies of attempts: what a delivery report adds up, for each channel.

A tally of the rows of a period can be stored as text. Tallies of consecutive periods add up to that of the
whole.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Float,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from storage.models import AttemptOutcome
from storage.operations.leases import MAX_ABANDONED
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import milliseconds_between
from storage.sql.types import UtcDateTime

T = TypeVar("T")

_n = notification_events.c
_a = notification_attempts.c

WITHIN = and_(
    _a.started_at >= bindparam("since", type_=UtcDateTime),
    _a.started_at < bindparam("until", type_=UtcDateTime),
)
_MADE = _a.notification_id == _n.id
_NO_FLAG = type_coerce(null(), Boolean)
_UNANSWERED = or_(_a.late, _a.outcome == AttemptOutcome.ABANDONED.value)
# That a notification became a dead letter by abandoned attempts is recorded only in its own row.
_HOPELESS = and_(_n.attempt_count == _a.number, _n.abandoned_count >= MAX_ABANDONED)

# All attempts, counted from the index, and the few for which the index lacks a column. In one statement,
# because an outcome recorded between two would be miscounted.
OUTCOMES = union_all(
    select(_a.channel, _a.outcome, _NO_FLAG.label("late"), _NO_FLAG.label("hopeless"), func.count())
    .where(WITHIN)
    .group_by(_a.channel, _a.outcome),
    select(_a.channel, _a.outcome, _a.late, _HOPELESS.label("hopeless"), func.count())
    .where(WITHIN, _UNANSWERED, _MADE)
    .group_by(_a.channel, _a.outcome, _a.late, "hopeless"),
)

_earlier = notification_attempts.alias("earlier").c
# Released claims leave gaps in the numbers, so a first attempt may have any number.
RETRIES = (
    select(_a.channel, func.count())
    .where(
        WITHIN,
        _a.number > 1,
        exists().where(_earlier.notification_id == _a.notification_id, _earlier.number < _a.number),
    )
    .group_by(_a.channel)
)

LONGEST = 10**12
"""Milliseconds, about 30 years. Longer times are not rounded."""


def _two_digits(milliseconds: ColumnElement[int]) -> ColumnElement[int]:
    """Rounded to two significant digits, and at least zero despite clock skew."""
    rounded = []
    unit = 10
    while unit * 100 <= LONGEST:
        rounded.append((milliseconds < unit * 100, (milliseconds + unit // 2) // unit * unit))
        unit *= 10
    return case((milliseconds < 0, 0), (milliseconds < 100, milliseconds), *rounded, else_=milliseconds)


# Until the end of the attempt, and not until `sent_at`, which a later attempt may replace.
_took = milliseconds_between(_n.created_at, _a.started_at) + cast(
    func.round(func.coalesce(type_coerce(_a.duration, Float), 0) * 1000), BigInteger
)
# Equal times are grouped first, because rounding every row would take longer.
_times = (
    select(_a.channel, _took.label("took"), func.count().label("number"))
    .where(WITHIN, _a.outcome == AttemptOutcome.SENT.value, ~_a.late, _MADE)
    .group_by(_a.channel, "took")
    .subquery("times")
)
TIMES = select(
    _times.c.channel,
    _two_digits(_times.c.took).label("rounded"),
    cast(func.sum(_times.c.number), BigInteger),
).group_by(_times.c.channel, "rounded")


@dataclass(slots=True)
class Tally:
    """The attempts of one channel."""

    outcomes: Counter[AttemptOutcome] = field(default_factory=Counter)
    died: int = 0
    """Notifications that became dead letters."""
    retries: int = 0
    times: Counter[int] = field(default_factory=Counter)
    """The deliveries by the milliseconds that each took since its notification was accepted, rounded to two
    significant digits."""

    def add(self, other: "Tally") -> None:
        _add(self.outcomes, other.outcomes)
        self.died += other.died
        self.retries += other.retries
        _add(self.times, other.times)


Tallies = Mapping[str, Tally]
"""By channel."""


def tallies_of_rows(connection: Connection, since: datetime, until: datetime) -> Tallies:
    """The tallies of the attempts begun from `since` on and before `until`."""
    period = {"since": since, "until": until}
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for channel, outcome, late, hopeless, number in connection.execute(OUTCOMES, period):
        tally = tallies[channel]
        if late is None:
            tally.outcomes[AttemptOutcome(outcome)] += number
        elif late:
            take_for_abandoned(tally.outcomes, AttemptOutcome(outcome), number)
        if hopeless:
            tally.died += number
    for tally in tallies.values():
        tally.died += tally.outcomes[AttemptOutcome.DEAD]
    for channel, number in connection.execute(RETRIES, period):
        tallies[channel].retries += number
    for channel, took, number in connection.execute(TIMES, period):
        tallies[channel].times[took] += number
    return tallies


def take_for_abandoned(outcomes: Counter[AttemptOutcome], outcome: AttemptOutcome, number: int) -> None:
    """An outcome that was refused because it came too late counts as abandoned, which is how the queue
    treated it."""
    outcomes[outcome] -= number
    outcomes[AttemptOutcome.ABANDONED] += number


def total(parts: Iterable[Tallies]) -> dict[str, Tally]:
    """The sum of the parts."""
    sums: defaultdict[str, Tally] = defaultdict(Tally)
    for part in parts:
        for channel, tally in part.items():
            sums[channel].add(tally)
    return dict(sums)


def encoded(tallies: Tallies) -> str:
    """The tallies as text, such as `{"Slack": {"outcomes": {"sent": 2}, "times": [[250, 2]]}}`."""
    stored = {
        channel: {
            "outcomes": {outcome.value: number for outcome, number in tally.outcomes.items() if number},
            **({"died": tally.died} if tally.died else {}),
            **({"retries": tally.retries} if tally.retries else {}),
            "times": sorted(tally.times.items()),
        }
        for channel, tally in tallies.items()
    }
    return to_json(stored).decode()


def decoded(text: str) -> dict[str, Tally]:
    """The tallies that were stored as this text."""
    return {
        channel: Tally(
            Counter({AttemptOutcome(name): number for name, number in stored["outcomes"].items()}),
            stored.get("died", 0),
            stored.get("retries", 0),
            Counter(dict(stored["times"])),
        )
        for channel, stored in from_json(text).items()
    }


def _add(sums: Counter[T], added: Counter[T]) -> None:
    for key, number in added.items():
        sums[key] += number
