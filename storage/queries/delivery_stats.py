"""Delivery statistics of a period: the outcomes of the attempts begun in it, and the times to deliver.

An outcome that was refused because it came too late counts as abandoned, which is how the queue treated it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)

from storage.models import AttemptOutcome, Deliveries, DeliveryFigures, DeliveryStep
from storage.operations.leases import MAX_ABANDONED
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import milliseconds_between
from storage.sql.types import UtcDateTime

_n = notification_events.c
_a = notification_attempts.c


_WITHIN = and_(
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
    .where(_WITHIN)
    .group_by(_a.channel, _a.outcome),
    select(_a.channel, _a.outcome, _a.late, _HOPELESS.label("hopeless"), func.count())
    .where(_WITHIN, _UNANSWERED, _MADE)
    .group_by(_a.channel, _a.outcome, _a.late, "hopeless"),
)

_earlier = notification_attempts.alias("earlier").c
# Released claims leave gaps in the numbers, so a first attempt may have any number.
RETRIES = (
    select(_a.channel, func.count())
    .where(
        _WITHIN,
        _a.number > 1,
        exists().where(_earlier.notification_id == _a.notification_id, _earlier.number < _a.number),
    )
    .group_by(_a.channel)
)

# Equal times are grouped first: ranking a few thousand groups costs far less than ranking every row.
_took = milliseconds_between(_n.created_at, _n.sent_at)
_times = (
    select(_took.label("took"), _a.channel, func.count().label("count"))
    .where(_WITHIN, _a.outcome == AttemptOutcome.SENT.value, ~_a.late, _MADE)
    .group_by("took", _a.channel)
    .cte("times")
)
_ranked = select(
    _times.c.channel,
    _times.c.took,
    func.sum(_times.c.count).over(partition_by=_times.c.channel, order_by=_times.c.took).label("rank"),
    func.sum(_times.c.count).over(partition_by=_times.c.channel).label("of"),
    func.sum(_times.c.count).over(order_by=_times.c.took).label("rank_of_all"),
    func.sum(_times.c.count).over().label("all"),
).cte("ranked")


def _percentile(percent: int, rank: ColumnElement[int], of: ColumnElement[int]) -> ColumnElement[int | None]:
    """The percentile by nearest rank: the shortest time within which `percent` of them were delivered."""
    return func.min(case((rank * 100 >= of * percent, _ranked.c.took)))


TIMES = select(
    _ranked.c.channel,
    _percentile(50, _ranked.c.rank, _ranked.c.of),
    _percentile(95, _ranked.c.rank, _ranked.c.of),
    _percentile(50, _ranked.c.rank_of_all, _ranked.c.all),
    _percentile(95, _ranked.c.rank_of_all, _ranked.c.all),
).group_by(_ranked.c.channel)

_step = (
    milliseconds_between(bindparam("beginning", type_=UtcDateTime), _a.started_at)
    // bindparam("step", type_=BigInteger)
).label("step")
OVER_TIME = union_all(
    select(_step, _a.outcome, literal_column("0").label("late"), func.count())
    .where(_WITHIN)
    .group_by("step", _a.outcome),
    select(_step, _a.outcome, literal_column("1").label("late"), func.count())
    .where(_WITHIN, _a.late)
    .group_by("step", _a.outcome),
)


class _Times(NamedTuple):
    median: timedelta | None = None
    p95: timedelta | None = None


def delivery_figures(connection: Connection, since: datetime, until: datetime) -> Deliveries:
    """The results of the attempts begun from `since` on and before `until`."""
    period = {"since": since, "until": until}
    ended: defaultdict[str, Counter[AttemptOutcome]] = defaultdict(Counter)
    died: Counter[str] = Counter()
    for channel, outcome, late, hopeless, count in connection.execute(OUTCOMES, period):
        if late is None:
            ended[channel][AttemptOutcome(outcome)] += count
        elif late:
            _take_for_abandoned(ended[channel], AttemptOutcome(outcome), count)
        if hopeless:
            died[channel] += count
    for channel, outcomes in ended.items():
        died[channel] += outcomes[AttemptOutcome.DEAD]
    retries: Counter[str] = Counter(dict(connection.execute(RETRIES, period).all()))
    times, times_of_all = _times_to_delivery(connection, period)
    by_channel = {
        channel: _figures(outcomes, died[channel], retries[channel], times.get(channel, _Times()))
        for channel, outcomes in sorted(ended.items(), key=lambda found: (-found[1].total(), found[0]))
    }
    overall = _figures(_sum(ended.values()), died.total(), retries.total(), times_of_all)
    return Deliveries(overall=overall, by_channel=by_channel)


def deliveries_over_time(
    connection: Connection, since: datetime, until: datetime, *, beginning: datetime, step: timedelta
) -> tuple[DeliveryStep, ...]:
    """The attempts begun in the period by outcome, in consecutive steps from `beginning` on."""
    bound = {
        "since": since,
        "until": until,
        "beginning": beginning,
        "step": step // timedelta(milliseconds=1),
    }
    steps = [Counter[AttemptOutcome]() for _ in range(-((beginning - until) // step))]
    for number, outcome, late, count in connection.execute(OVER_TIME, bound):
        # A time within half a millisecond of the end is rounded into the next step.
        outcomes = steps[min(number, len(steps) - 1)]
        if late:
            _take_for_abandoned(outcomes, AttemptOutcome(outcome), count)
        else:
            outcomes[AttemptOutcome(outcome)] += count
    return tuple(
        DeliveryStep(begins_at=beginning + number * step, outcomes=dict(+outcomes))
        for number, outcomes in enumerate(steps)
    )


def _times_to_delivery(
    connection: Connection, period: dict[str, datetime]
) -> tuple[dict[str, _Times], _Times]:
    rows = connection.execute(TIMES, period).all()
    by_channel = {channel: _Times(_time(median), _time(p95)) for channel, median, p95, _, _ in rows}
    return by_channel, _Times(_time(*(row[3] for row in rows)), _time(*(row[4] for row in rows)))


def _time(*milliseconds: int | None) -> timedelta | None:
    """The least of the values that aren't None; at least zero, despite clock skew."""
    known = [value for value in milliseconds if value is not None]
    return timedelta(milliseconds=max(0, min(known))) if known else None


def _take_for_abandoned(outcomes: Counter[AttemptOutcome], outcome: AttemptOutcome, count: int) -> None:
    outcomes[outcome] -= count
    outcomes[AttemptOutcome.ABANDONED] += count


def _sum(counters: Iterable[Counter[AttemptOutcome]]) -> Counter[AttemptOutcome]:
    return sum(counters, Counter[AttemptOutcome]())


def _figures(outcomes: Counter[AttemptOutcome], died: int, retries: int, times: _Times) -> DeliveryFigures:
    return DeliveryFigures(
        attempts=outcomes.total(),
        delivered=outcomes[AttemptOutcome.SENT],
        failed=outcomes[AttemptOutcome.FAILED],
        told_to_wait=outcomes[AttemptOutcome.TOLD_TO_WAIT],
        died=died,
        skipped=outcomes[AttemptOutcome.SKIPPED],
        abandoned=outcomes[AttemptOutcome.ABANDONED],
        retries=retries,
        median=times.median,
        p95=times.p95,
    )
