"""The figures that are kept for the hours and days of a period, and the gaps whose attempts must be read.

There are no figures for the newest hours, for hours with few attempts, and for those in which something has
changed since.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from heapq import nsmallest

from sqlalchemy import Connection, Integer, and_, bindparam, func, select, text

from storage.operations.keep_figures import FigurePeriod, Mark, day_of, have_ended
from storage.queries.tallies import WITHIN, Tallies, decoded, encoded, tallies_of_rows, total
from storage.schema.kept_figures import DAY, HOUR, KEPT
from storage.schema.tables import notification_attempts, notification_figures
from storage.sql.json_rows import Batch
from storage.sql.json_rows import encoded as encoded_rows
from storage.sql.types import UtcDateTime
from storage.structs import struct

MANY = 100
"""An hour with fewer attempts has no figures: its attempts are read as fast."""

MOST_GAPS = 8
"""The attempts of each gap take a few queries, however few there are."""

_f = notification_figures.c
_a = notification_attempts.c


@struct
class Gap:
    """A part of a period without figures: from `since` on and before `until`."""

    since: datetime
    until: datetime


@struct
class Kept:
    """The figures of an hour or a day."""

    period: FigurePeriod
    tallies: Tallies

    @property
    def attempts(self) -> int:
        return sum(tally.attempts for tally in self.tallies.values())


@struct
class Cover:
    """A period, divided into hours and days with figures, and gaps. Both are in order of time."""

    kept: Sequence[Kept]
    gaps: Sequence[Gap]


_USABLE = {dialect: select(text(condition)) for dialect, condition in KEPT.items()}
_gaps = Batch("gaps")
_since, _until = (_gaps.field(name, UtcDateTime()) for name in ("since", "until"))
# An outer join, so that SQLite looks up each gap instead of reading all figures.
_KEPT_WITHIN = select(_f.begins_at, _f.figures).outerjoin_from(
    _gaps.rows,
    notification_figures,
    and_(
        _f.hours == bindparam("in_hours", type_=Integer),
        _f.ends_at > _since,
        _f.ends_at <= _until,
        _f.begins_at >= _since,
        _f.figures.is_not(None),
    ),
)


def cover(
    connection: Connection,
    since: datetime,
    until: datetime,
    *,
    fits: Callable[[FigurePeriod], bool] = lambda period: True,
) -> Cover:
    """The figures of the days, and otherwise of the hours, that lie within the period and for which `fits`
    is true."""
    kept: list[Kept] = []
    gaps = [Gap(since, until)]
    if until - since < timedelta(hours=HOUR) or not _usable(connection):
        return Cover(kept, gaps)
    for hours in (DAY, HOUR):
        kept += (each for each in _kept_within(connection, gaps, hours) if fits(each.period))
        kept.sort(key=lambda each: each.period.begins_at)
        gaps = _between(kept, since, until)
    if len(gaps) > MOST_GAPS:
        kept = _without_cheapest(kept, gaps)
        gaps = _between(kept, since, until)
    return Cover(kept, gaps)


def tallies_of_period(connection: Connection, since: datetime, until: datetime) -> Tallies:
    """The tallies of the attempts begun from `since` on and before `until`."""
    found = cover(connection, since, until)
    return total(
        (
            *(each.tallies for each in found.kept),
            *(tallies_of_rows(connection, gap.since, gap.until) for gap in found.gaps),
        )
    )


_MARKED = select(_f.builder).where(
    _f.hours == bindparam("in_hours", type_=Integer), _f.ends_at == bindparam("until", type_=UtcDateTime)
)


def figures_of(connection: Connection, mark: Mark, newest: int | None) -> str | None:
    """The figures of a marked period, as they are stored. None: something has changed since.

    Or this connection is to another server than the one that wrote the mark, and doesn't see it yet, or not
    all of what was changed by transactions with lower numbers than `newest`.
    """
    period = mark.period
    here = connection.execute(_MARKED, {"in_hours": period.hours, "until": period.ends_at}).scalar()
    if here != mark.builder or not have_ended(connection, newest):
        return None
    return encoded(tallies_of_period(connection, period.begins_at, period.ends_at))


_after = bindparam("since", type_=UtcDateTime)
_DAYS = select(_f.begins_at).where(_f.hours == DAY, _f.ends_at > _after, _f.figures.is_not(None))
_OLDEST_ATTEMPT = select(func.min(_a.started_at)).where(_a.started_at >= _after)
_AS_FAR_AS_MANY = select(func.count()).select_from(select(_a.started_at).where(WITHIN).limit(MANY).subquery())


def days_to_keep(connection: Connection, since: datetime, until: datetime) -> list[FigurePeriod]:
    """The days without figures that begin before `until`, newest first, back to the oldest attempt since
    `since`."""
    oldest = connection.execute(_OLDEST_ATTEMPT, {"since": since}).scalar() if _usable(connection) else None
    if oldest is None:
        return []
    first = day_of(oldest).begins_at
    kept = set(connection.execute(_DAYS, {"since": first}).scalars())
    number = -((first - until) // timedelta(days=1))
    days = [FigurePeriod(first + timedelta(days=after), DAY) for after in range(number)]
    return [day for day in reversed(days) if day.begins_at not in kept]


def hours_to_keep(connection: Connection, day: FigurePeriod, until: datetime) -> list[FigurePeriod]:
    """The hours of a day that end by `until`, have many attempts and no figures, newest first."""
    kept = {each.period for each in _kept_within(connection, [Gap(day.begins_at, day.ends_at)], HOUR)}
    hours = [FigurePeriod(day.begins_at + timedelta(hours=after), HOUR) for after in range(day.hours)]
    return [
        hour
        for hour in reversed(hours)
        if hour not in kept and hour.ends_at <= until and _has_many_attempts(connection, hour)
    ]


def _has_many_attempts(connection: Connection, period: FigurePeriod) -> bool:
    bounds = {"since": period.begins_at, "until": period.ends_at}
    return connection.execute(_AS_FAR_AS_MANY, bounds).scalar_one() >= MANY


def _usable(connection: Connection) -> bool:
    return bool(connection.execute(_USABLE[connection.dialect.name]).scalar())


def _kept_within(connection: Connection, gaps: Iterable[Gap], hours: int) -> list[Kept]:
    wide = [
        {"since": gap.since, "until": gap.until}
        for gap in gaps
        if gap.until - gap.since >= timedelta(hours=hours)
    ]
    if not wide:
        return []
    rows = connection.execute(_KEPT_WITHIN, {"gaps": encoded_rows(wide), "in_hours": hours})
    return [
        Kept(FigurePeriod(begins_at, hours), decoded(figures))
        for begins_at, figures in rows
        if begins_at is not None
    ]


def _between(kept: Iterable[Kept], since: datetime, until: datetime) -> list[Gap]:
    """The gaps before, between and after what is kept."""
    ends = [since, *(end for each in kept for end in (each.period.begins_at, each.period.ends_at)), until]
    return [Gap(*gap) for gap in zip(ends[::2], ends[1::2], strict=True) if gap[0] < gap[1]]


def _without_cheapest(kept: Sequence[Kept], gaps: Sequence[Gap]) -> list[Kept]:
    """Without the figures between some of the gaps, so that `MOST_GAPS` longer ones remain: those whose
    attempts are the fewest to read."""
    ends = [gap.until for gap in gaps]
    gaps_before = [bisect_right(ends, each.period.begins_at) for each in kept]
    attempts: Counter[int] = Counter()
    for number, each in zip(gaps_before, kept, strict=True):
        attempts[number] += each.attempts
    between = range(1, len(gaps))
    left_out = set(nsmallest(len(gaps) - MOST_GAPS, between, key=attempts.__getitem__))
    return [each for number, each in zip(gaps_before, kept, strict=True) if number not in left_out]
