"""Delivery statistics of a period: the outcomes of the attempts begun in it, and the times to deliver."""

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, bindparam, func, literal_column, select, union_all

from storage.models import AttemptOutcome, Deliveries, DeliveryFigures, DeliveryStep
from storage.operations.keep_figures import FigurePeriod
from storage.queries.kept_figures import cover, tallies_of_period
from storage.queries.tallies import WITHIN, Tally, add, counted
from storage.schema.tables import notification_attempts
from storage.sql.dialects import seconds_between
from storage.sql.types import UtcDateTime

_a = notification_attempts.c

_step = (
    seconds_between(bindparam("beginning", type_=UtcDateTime), _a.started_at)
    // bindparam("step", type_=BigInteger)
).label("step")
OVER_TIME = union_all(
    select(_step, _a.outcome, literal_column("0").label("late"), func.count())
    .where(WITHIN)
    .group_by("step", _a.outcome),
    select(_step, _a.outcome, literal_column("1").label("late"), func.count())
    .where(WITHIN, _a.late)
    .group_by("step", _a.outcome),
)


def delivery_figures(connection: Connection, since: datetime, until: datetime) -> Deliveries:
    """The results of the attempts begun from `since` on and before `until`."""
    tallies = tallies_of_period(connection, since, until)
    made = [(channel, tally) for channel, tally in tallies.items() if tally.attempts]
    overall = Tally()
    for _, tally in made:
        overall.add(tally)
    by_channel = {
        channel: _figures(tally)
        for channel, tally in sorted(made, key=lambda made: (-made[1].attempts, made[0]))
    }
    return Deliveries(overall=_figures(overall), by_channel=by_channel)


def deliveries_over_time(
    connection: Connection, since: datetime, until: datetime, *, beginning: datetime, step: timedelta
) -> tuple[DeliveryStep, ...]:
    """The attempts begun in the period by outcome, in consecutive steps from `beginning` on.

    `beginning` is no later than `since`. Neither it nor the step has a fraction of a second.
    """
    steps: list[dict[AttemptOutcome, int]] = [{} for _ in range(-((beginning - until) // step))]

    def within_a_step(period: FigurePeriod) -> bool:
        return period.ends_at - beginning <= ((period.begins_at - beginning) // step + 1) * step

    found = cover(connection, since, until, fits=within_a_step)
    for kept in found.kept:
        for tally in kept.tallies.values():
            add(steps[(kept.period.begins_at - beginning) // step], tally.outcomes)
    for gap in found.gaps:
        bound = {
            "since": gap.since,
            "until": gap.until,
            "beginning": beginning,
            "step": step // timedelta(seconds=1),
        }
        for number, outcome, late, count in connection.execute(OVER_TIME, bound):
            add(steps[number], counted(outcome, count, late=bool(late)))
    return tuple(
        DeliveryStep(
            begins_at=beginning + number * step,
            outcomes={outcome: count for outcome, count in outcomes.items() if count},
        )
        for number, outcomes in enumerate(steps)
    )


def _figures(tally: Tally) -> DeliveryFigures:
    outcomes = Counter(tally.outcomes)
    return DeliveryFigures(
        attempts=tally.attempts,
        delivered=outcomes[AttemptOutcome.SENT],
        failed=outcomes[AttemptOutcome.FAILED],
        told_to_wait=outcomes[AttemptOutcome.TOLD_TO_WAIT],
        died=tally.died,
        skipped=outcomes[AttemptOutcome.SKIPPED],
        abandoned=outcomes[AttemptOutcome.ABANDONED],
        retries=tally.retries,
        median=tally.times.percentile(50),
        p95=tally.times.percentile(95),
    )
