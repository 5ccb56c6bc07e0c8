"""Pages of notifications by age. Keyset pagination keeps them stable while rows arrive."""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, func, literal, not_, or_, select, tuple_

from storage.errors import InvalidCursorError
from storage.models import (
    IdPage,
    NotificationFilter,
    NotificationPage,
    NotificationState,
    NotificationStatus,
    Share,
)
from storage.operations.actions import ELIGIBLE
from storage.operations.certificates import has_urgency, remembered_by_certctl
from storage.operations.eligible import eligible, has_status, undelivered
from storage.queries.lookups import MAX_NAMES
from storage.schema.rows import NOTIFICATION, notification_of, status_of
from storage.schema.tables import notification_events
from storage.sql.dialects import unindexed
from storage.sql.distinct import distinct
from storage.sql.types import StorableText, UtcDateTime, sortable

LARGEST_PAGE = 500

_n = notification_events.c

_FEW = frozenset(NotificationStatus) - {NotificationStatus.SENT, NotificationStatus.READ}
"""Statuses that are temporary or rare, with fewer rows than any one channel or type."""


# Built once: its many columns take a tenth of the time of a page.
_NOTIFICATIONS = select(*NOTIFICATION)
_OLDEST_FIRST = (_n.created_at, _n.id)
_NEWEST_FIRST = (_n.created_at.desc(), _n.id.desc())
_STORED = distinct(_n.status).limit(MAX_NAMES)
_UNDELIVERED = undelivered().label("undelivered")


def conditions(wanted: NotificationFilter) -> list[ColumnElement[bool]]:
    """The filter as SQL; every condition must hold."""
    found: list[ColumnElement[bool]] = []
    leading = _leading(wanted)
    if wanted.ids:
        found.append(_n.id.in_(wanted.ids))
    if wanted.eligible_for is not None:
        among = wanted.statuses or tuple(NotificationStatus)
        found.append(eligible(wanted.eligible_for, among, _looked_up(_n.status, leading)))
    elif wanted.stored_statuses is not None:
        names = (*wanted.statuses, *wanted.stored_statuses)
        found.append(_looked_up(_n.status, leading).in_([literal(name, StorableText) for name in names]))
    elif wanted.statuses:
        found.append(has_status(wanted.statuses, _looked_up(_n.status, leading)))
    for column, value in (
        (_n.channel, wanted.channel),
        (_n.type, wanted.type),
        (_n.certificate_id, wanted.certificate_id),
        (_n.recipient, wanted.recipient),
    ):
        if value is not None:
            found.append(_looked_up(column, leading) == value)
    if wanted.text is not None:
        places = (_n.message, _n.last_error, _n.error)
        found.append(or_(*(place.icontains(wanted.text, autoescape=True) for place in places)))
    if wanted.created_from is not None:
        found.append(_n.created_at >= wanted.created_from)
    if wanted.created_until is not None:
        found.append(_n.created_at < wanted.created_until)
    if wanted.urgency is not None:
        found.append(has_urgency(wanted.urgency, wanted.urgent_until, beside_certctl=wanted.beside_certctl))
    if wanted.remembered is not None:
        remembered = remembered_by_certctl()
        found.append(remembered if wanted.remembered else not_(remembered))
    return found


def resolved(connection: Connection, wanted: NotificationFilter) -> NotificationFilter:
    """`wanted` with `other` replaced by the stored names, which an index can find."""
    if NotificationStatus.OTHER not in wanted.statuses or wanted.eligible_for is not None:
        return wanted
    stored = [name for (name,) in connection.execute(_STORED)]
    others = tuple(name for name in stored if status_of(name) is NotificationStatus.OTHER)
    ours = tuple(status for status in wanted.statuses if status is not NotificationStatus.OTHER)
    return wanted.model_copy(update={"statuses": ours, "stored_statuses": others})


def _leading(wanted: NotificationFilter) -> set[ColumnElement[str]]:
    """The columns that select the fewest rows. SQLite would use any column that has an index."""
    if wanted.ids:
        return {_n.id}
    if wanted.certificate_id is not None:
        return {_n.certificate_id}
    by_value = {wanted.channel, wanted.type, wanted.recipient} != {None}
    if by_value and not _is_selective(wanted):
        return {_n.channel, _n.type, _n.recipient}
    return {_n.status}


def _is_selective(wanted: NotificationFilter) -> bool:
    """Whether the statuses alone select few rows."""
    if wanted.eligible_for is None:
        return bool(wanted.statuses) and _FEW.issuperset(wanted.statuses)
    # Few rows count as sent although nothing was delivered, and they have their own index.
    statuses = ELIGIBLE[wanted.eligible_for].statuses
    return _FEW.issuperset(set(statuses).intersection(wanted.statuses or statuses))


def _looked_up(column: "Column[str]", leading: set[ColumnElement[str]]) -> ColumnElement[str]:
    """The column, kept from using an index unless it is one of the leading ones."""
    return column if column in leading else unindexed(column)


def page_query(
    wanted: NotificationFilter, limit: int, cursor: str | None, *, oldest_first: bool = False
) -> Select[Any]:
    """One row more than the page holds, to know whether another page follows."""
    query = _NOTIFICATIONS
    if cursor is not None:
        moment, notification_id = _decoded(cursor)
        last = tuple_(literal(moment, UtcDateTime), literal(notification_id, _n.id.type))
        place = tuple_(_n.created_at, _n.id)
        query = query.where(place > last if oldest_first else place < last)
        # The cursor is the stricter condition, but SQLite would start its scan at the other one.
        if oldest_first and wanted.created_from is not None and moment >= wanted.created_from:
            wanted = wanted.model_copy(update={"created_from": None})
        if not oldest_first and wanted.created_until is not None and moment < wanted.created_until:
            wanted = wanted.model_copy(update={"created_until": None})
    order = _OLDEST_FIRST if oldest_first else _NEWEST_FIRST
    return query.where(*conditions(wanted)).order_by(*order).limit(limit + 1)


def breakdown(connection: Connection, wanted: NotificationFilter) -> tuple[Share, ...]:
    """The largest share first."""
    wanted = resolved(connection, wanted)
    number = func.count()
    query = (
        select(_n.channel, _n.status, _UNDELIVERED, number, func.count(_n.lease_owner))
        .where(*conditions(wanted))
        .group_by(_n.channel, _n.status, _UNDELIVERED)
        .order_by(number.desc(), _n.channel, _n.status, _UNDELIVERED)
    )
    return tuple(
        Share(
            channel=channel,
            status=status_of(status),
            undelivered=bool(undelivered),
            count=held,
            under_way=under_way,
        )
        for channel, status, undelivered, held, under_way in connection.execute(query)
    )


def accepted_span(connection: Connection, wanted: NotificationFilter) -> tuple[datetime, datetime] | None:
    """When the oldest and the newest were accepted."""
    wanted = resolved(connection, wanted)
    query = select(_n.created_at).where(*conditions(wanted)).limit(1)
    oldest = connection.execute(query.order_by(_n.created_at, _n.id)).scalar()
    newest = connection.execute(query.order_by(_n.created_at.desc(), _n.id.desc())).scalar()
    return None if oldest is None or newest is None else (oldest, newest)


def states(connection: Connection, ids: Sequence[str]) -> tuple[NotificationState, ...]:
    """The state of each of these notifications that exists."""
    query = select(_n.id, _n.status, _UNDELIVERED, _n.lease_owner).where(_n.id.in_(ids))
    return tuple(
        NotificationState(
            id=row.id,
            status=status_of(row.status),
            undelivered=bool(row.undelivered),
            under_way=row.lease_owner is not None,
        )
        for row in connection.execute(query)
    )


def matching_ids(connection: Connection, wanted: NotificationFilter, limit: int, after: str | None) -> IdPage:
    wanted = resolved(connection, wanted)
    query = select(_n.created_at, _n.id).where(*conditions(wanted))
    if after is not None:
        moment, notification_id = _decoded(after)
        last = tuple_(literal(moment, UtcDateTime), literal(notification_id, _n.id.type))
        query = query.where(tuple_(_n.created_at, _n.id) > last)
    rows = connection.execute(query.order_by(_n.created_at, _n.id).limit(limit + 1)).all()
    following = _encoded(*rows[limit - 1]) if len(rows) > limit else None
    return IdPage(ids=tuple(row.id for row in rows[:limit]), next=following)


def list_page(
    connection: Connection,
    wanted: NotificationFilter,
    limit: int,
    cursor: str | None,
    skip: int = 0,
    *,
    oldest_first: bool = False,
) -> NotificationPage:
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError(f"limit is {limit}; it must be from 1 to {LARGEST_PAGE}")
    wanted = resolved(connection, wanted)
    query = page_query(wanted, limit, cursor, oldest_first=oldest_first)
    rows = connection.execute(query.offset(skip or None)).all()
    items = tuple(notification_of(row) for row in rows[:limit])
    more = len(rows) > limit
    next_cursor = _encoded(items[-1].created_at, items[-1].id) if more else None
    return NotificationPage(items=items, next_cursor=next_cursor)


def first_of(page: NotificationPage, number: int) -> NotificationPage:
    """The same page, limited to this many items: at least one, and fewer than it has."""
    items = page.items[:number]
    return NotificationPage(items=items, next_cursor=_encoded(items[-1].created_at, items[-1].id))


def _encoded(created_at: datetime, notification_id: str) -> str:
    key = json.dumps([sortable(created_at), notification_id], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        created_at, notification_id = json.loads(text)
        moment = datetime.fromisoformat(created_at)
        given_out = _encoded(moment, notification_id) == cursor and isinstance(notification_id, str)
    except (ValueError, TypeError, OverflowError, RecursionError) as failure:
        raise InvalidCursorError(cursor) from failure
    if not given_out:
        raise InvalidCursorError(cursor)
    return moment, notification_id
