"""Which ids, channels and types are there? For those who complete, or mend, what somebody began to write."""

from itertools import chain

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.schema.tables import notification_events
from storage.sql.dialects import last_characters, starts_with
from storage.sql.distinct import distinct

_n = notification_events.c

_LAST = "\U0010ffff"
"""Sorts after every character that text holds."""

ENDING = 8
"""Characters by which ids made at the same time are told apart, for their ends are chance."""

NEWEST = 500_000
"""As many are looked at for how they end: of those that somebody may mean, these are the most likely."""

MOST_NAMES = 200
"""Names of one kind that are found; there are more only where a name holds what it should not."""


async def ids_beginning(connection: AsyncConnection, prefix: str, limit: int) -> tuple[str, ...]:
    """The greatest first: ids of ours hold their time."""
    beginning = starts_with(_n.id, literal(prefix, _n.id.type), literal(prefix + _LAST, _n.id.type))
    query = select(_n.id).where(beginning).order_by(_n.id.desc()).limit(limit)
    return tuple((await connection.execute(query)).scalars())


async def similar_ids(connection: AsyncConnection, given: str, limit: int) -> tuple[str, ...]:
    """Those that end like `given`, and its neighbours: no id begins more like it than they do."""
    last = given[-ENDING:]
    newest = select(_n.id).order_by(_n.created_at.desc(), _n.id.desc()).limit(NEWEST).subquery().c
    alike = (
        select(newest.id).where(last_characters(newest.id, len(last)) == last),
        select(_n.id).where(_n.id <= given).order_by(_n.id.desc()),
        select(_n.id).where(_n.id > given).order_by(_n.id),
    )
    found = [(await connection.execute(query.limit(limit // len(alike)))).scalars() for query in alike]
    return tuple(dict.fromkeys(chain.from_iterable(found)))


async def channels_in_use(connection: AsyncConnection) -> tuple[str, ...]:
    return tuple((await connection.execute(CHANNELS)).scalars())


async def types_in_use(connection: AsyncConnection) -> tuple[str, ...]:
    return tuple((await connection.execute(TYPES)).scalars())


CHANNELS = distinct(_n.channel).limit(MOST_NAMES)
TYPES = distinct(_n.type).limit(MOST_NAMES)
