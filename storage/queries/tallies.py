"""Tallies of attempts: what a delivery report adds up, for each channel.

A tally of the rows of a period can be stored as text. Tallies of consecutive periods add up to that of the
whole. After a change of what is counted here, a migration must delete those that are stored; the triggers of
`storage/schema/kept_figures.py` must know every column that is read here.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Float,
    and_,
    bindparam,
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
from storage.queries.delivery_times import Histogram, rounded
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
# Released claims leave gaps in the numbers, so a first attempt may have any number. By this definition a new
# attempt changes no hour before its own.
RETRIES = (
    select(_a.channel, func.count())
    .where(
        WITHIN,
        _a.number > 1,
        exists().where(
            _earlier.notification_id == _a.notification_id,
            _earlier.number < _a.number,
            _earlier.started_at <= _a.started_at,
        ),
    )
    .group_by(_a.channel)
)

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
    rounded(_times.c.took).label("rounded"),
    cast(func.sum(_times.c.number), BigInteger),
).group_by(_times.c.channel, "rounded")


@dataclass(slots=True)
class Tally:
    """The attempts of one channel."""

    outcomes: dict[AttemptOutcome, int] = field(default_factory=dict)
    died: int = 0
    """Notifications that became dead letters."""
    retries: int = 0
    times: Histogram = field(default_factory=Histogram)

    @property
    def attempts(self) -> int:
        return sum(self.outcomes.values())

    def add(self, other: "Tally") -> None:
        add(self.outcomes, other.outcomes)
        self.died += other.died
        self.retries += other.retries
        self.times.add(other.times)


Tallies = Mapping[str, Tally]
"""By channel."""


def tallies_of_rows(connection: Connection, since: datetime, until: datetime) -> Tallies:
    """The tallies of the attempts begun from `since` on and before `until`."""
    period = {"since": since, "until": until}
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for channel, outcome, late, hopeless, number in connection.execute(OUTCOMES, period):
        tally = tallies[channel]
        if late is not False:
            add(tally.outcomes, counted(outcome, number, late=late is True))
        if hopeless:
            tally.died += number
    for tally in tallies.values():
        tally.died += tally.outcomes.get(AttemptOutcome.DEAD, 0)
    for channel, number in connection.execute(RETRIES, period):
        tallies[channel].retries += number
    for channel, took, number in connection.execute(TIMES, period):
        tallies[channel].times.count(took, number)
    return tallies


def counted(outcome: str, number: int, *, late: bool) -> dict[AttemptOutcome, int]:
    """What so many attempts with a stored outcome add to those by outcome. One that came too late, and is
    already counted, counts as abandoned instead, which is how the queue treated it."""
    if late:
        return {AttemptOutcome(outcome): -number, AttemptOutcome.ABANDONED: number}
    return {AttemptOutcome(outcome): number}


def total(parts: Iterable[Tallies]) -> dict[str, Tally]:
    """The sum of the parts."""
    sums: defaultdict[str, Tally] = defaultdict(Tally)
    for part in parts:
        for channel, tally in part.items():
            sums[channel].add(tally)
    return dict(sums)


def encoded(tallies: Tallies) -> str:
    """The tallies as text."""
    stored = {
        channel: {
            "outcomes": {outcome.value: number for outcome, number in tally.outcomes.items() if number},
            "died": tally.died,
            "retries": tally.retries,
            "times": tally.times.stored,
        }
        for channel, tally in tallies.items()
    }
    return to_json(stored).decode()


def decoded(text: str) -> dict[str, Tally]:
    """The tallies that were stored as this text."""
    return {
        channel: Tally(
            {AttemptOutcome(name): number for name, number in stored["outcomes"].items()},
            stored["died"],
            stored["retries"],
            Histogram(stored["times"]),
        )
        for channel, stored in from_json(text).items()
    }


def add(sums: dict[T, int], added: Mapping[T, int]) -> None:
    """Add each number to the one with the same key."""
    known = sums.get
    for key, number in added.items():
        sums[key] = known(key, 0) + number
