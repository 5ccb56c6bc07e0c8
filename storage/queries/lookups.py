"""Ids, channels and types in use, for completions and for suggestions when a name was mistyped."""

from itertools import chain
from typing import Literal

from sqlalchemy import Connection, literal, select

from storage.schema.tables import notification_events
from storage.sql.dialects import last_characters, starts_with
from storage.sql.distinct import distinct

_n = notification_events.c

_LAST = "\U0010ffff"
"""Sorts after every character of a text."""

ENDING = 8
"""The number of last characters that distinguish ids created at the same time: their ends are random."""

NEWEST = 500_000
"""How many of the newest ids, which are the most likely to be meant, are compared by their last
characters."""

MAX_NAMES = 200
"""The most names of one kind to return. There are more only if other text was stored as names."""


def ids_beginning(connection: Connection, prefix: str, limit: int) -> tuple[str, ...]:
    """Ids in descending order, which for our own ids is newest first."""
    beginning = starts_with(_n.id, literal(prefix, _n.id.type), literal(prefix + _LAST, _n.id.type))
    query = select(_n.id).where(beginning).order_by(_n.id.desc()).limit(limit)
    return tuple(connection.execute(query).scalars())


def ids_ending(connection: Connection, suffix: str, limit: int) -> tuple[str, ...]:
    """Ids among the newest notifications, newest first."""
    newest = select(_n.id).order_by(_n.created_at.desc(), _n.id.desc()).limit(NEWEST).subquery().c
    query = select(newest.id).where(last_characters(newest.id, len(suffix)) == suffix).limit(limit)
    return tuple(connection.execute(query).scalars())


def similar_ids(connection: Connection, given: str, limit: int) -> tuple[str, ...]:
    """Ids with the same ending as `given`, and its neighbours in order, which share the longest prefix."""
    last = given[-ENDING:]
    newest = select(_n.id).order_by(_n.created_at.desc(), _n.id.desc()).limit(NEWEST).subquery().c
    alike = (
        select(newest.id).where(last_characters(newest.id, len(last)) == last),
        select(_n.id).where(_n.id <= given).order_by(_n.id.desc()),
        select(_n.id).where(_n.id > given).order_by(_n.id),
    )
    found = [connection.execute(query.limit(limit // len(alike))).scalars() for query in alike]
    return tuple(dict.fromkeys(chain.from_iterable(found)))


def channels_in_use(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.execute(CHANNELS).scalars())


def types_in_use(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.execute(TYPES).scalars())


ComparedField = Literal["recipient", "certificate_id"]


def recent_values(connection: Connection, field: ComparedField, limit: int) -> tuple[str, ...]:
    """The distinct values of `field` in the newest `limit` notifications, newest first."""
    column = {"recipient": _n.recipient, "certificate_id": _n.certificate_id}[field]
    query = select(column).order_by(_n.created_at.desc(), _n.id.desc()).limit(limit)
    return tuple(dict.fromkeys(filter(None, connection.execute(query).scalars())))


CHANNELS = distinct(_n.channel).limit(MAX_NAMES)
TYPES = distinct(_n.type).limit(MAX_NAMES)
