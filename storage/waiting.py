"""Which notifications wait for an attempt, and in which channels? In the form that their indexes serve."""

from sqlalchemy import ColumnElement, Select, func, literal_column, select

from storage.tables import notification_events

_n = notification_events.c

# Literal, not bound: a partial index serves only a query that repeats its predicate.
PENDING = _n.status == literal_column("'pending'")
FAILED = _n.status == literal_column("'failed'")


def channels(waiting: ColumnElement[bool]) -> Select[str]:
    """The channels of the rows that wait, found by seeking from one to the next in the index."""
    walk = select(func.min(_n.channel).label("channel")).where(waiting).cte(recursive=True)
    following = select(func.min(_n.channel)).where(waiting, _n.channel > walk.c.channel).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.channel.is_not(None)))
    return select(walk.c.channel).where(walk.c.channel.is_not(None))
