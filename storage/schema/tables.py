"""The tables: certctl's notifications with our additions, attempts, the audit log, processes, channels and
counts, and figures for reports."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.sql.types import Seconds, ShortText, StorableText, UtcDateTime

metadata = MetaData()

notification_events = Table(
    "notification_events",
    metadata,
    Column("id", StorableText, primary_key=True),
    Column("type", ShortText(255), nullable=False),
    Column("certificate_id", StorableText),
    Column("channel", ShortText(255), nullable=False),
    Column("recipient", ShortText(255), nullable=False),
    Column("message", StorableText, nullable=False),
    Column("status", String(50), nullable=False, server_default="pending"),
    Column("sent_at", UtcDateTime),
    Column("error", StorableText),
    Column("retry_count", Integer, nullable=False, server_default="0"),
    Column("next_retry_at", UtcDateTime),
    Column("last_error", StorableText),
    Column("created_at", UtcDateTime, nullable=False),
    # Our own columns. They are nullable or have a default, so that certctl's server can still write to the
    # table.
    Column("read_at", UtcDateTime),
    Column("idempotency_key", StorableText),
    Column("lease_owner", Text),
    Column("lease_expires_at", UtcDateTime),
    Column("claimed_at", UtcDateTime),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("abandoned_count", Integer, nullable=False, server_default="0"),
    # When a notification taken over from certctl is due. certctl would retry it if `next_retry_at` were set.
    Column("rescue_at", UtcDateTime),
    Column("origin_id", StorableText),
    # The names of channels, as a JSON array.
    Column("tried_channels", StorableText),
    # Of the trace in which it was accepted, as W3C Trace Context writes it. Not Text: SQLite estimates a
    # row's width by its types, and with a wider one it would read all sent rows to find the undelivered.
    Column("traceparent", String),
    Column("wait_count", Integer, nullable=False, server_default="0"),
    Column("waiting_since", UtcDateTime),
    # When `next_retry_at` was set, by the clock that set it.
    Column("scheduled_at", UtcDateTime),
)

notification_attempts = Table(
    "notification_attempts",
    metadata,
    Column(
        "notification_id",
        StorableText,
        ForeignKey("notification_events.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration", Seconds),
    Column("outcome", String(50), nullable=False),
    Column("error", StorableText),
    Column("worker", Text, nullable=False),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Column("channel", ShortText(255), nullable=False),
    sqlite_with_rowid=False,
)


notification_audit = Table(
    "notification_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(50), nullable=False),
    # No foreign key: the entry that says who deleted a notification outlives it.
    Column("notification_id", StorableText, nullable=False),
    Column("detail", StorableText),
)


notification_processes = Table(
    "notification_processes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("version", Text, nullable=False),
    # The names of its channels, as a JSON array.
    Column("channels", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("alive_since", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("left_at", UtcDateTime),
    Column("rescues", Boolean, nullable=False, server_default=text("false")),
)


# A channel without a row is open. Few channels have one, so the table is read without an index.
notification_channels = Table(
    "notification_channels",
    metadata,
    Column("channel", ShortText(255), primary_key=True),
    # When the next attempt may begin, apart from a pause; null: at once.
    Column("opens_at", UtcDateTime),
    Column("full_at", UtcDateTime),
    Column("waits", Integer, nullable=False, server_default="0"),
    Column("wait_until", UtcDateTime),
    Column("recovering", Integer, nullable=False, server_default="0"),
    # The ids of a few notifications, as a JSON array.
    Column("failing", Text, nullable=False, server_default="[]"),
    Column("held_since", UtcDateTime),
    Column("held_until", UtcDateTime),
    Column("probes", Integer, nullable=False, server_default="0"),
    Column("probe_at", UtcDateTime),
    Column("error", StorableText),
    Column("paused_until", UtcDateTime),
    Column("pause_reason", StorableText),
    Column("paused_by", StorableText),
)

# Several rows of one group add up; on SQLite there is one for each. Nothing here may be a reason to refuse a
# notification that another program writes, so the texts have no limit.
notification_counts = Table(
    "notification_counts",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("channel", StorableText),
    Column("status", StorableText),
    Column("undelivered", Boolean),
    Column("number", BigInteger, nullable=False),
    # For SQLite's triggers. On PostgreSQL rows are only added and summed.
    UniqueConstraint("channel", "status", "undelivered").ddl_if(dialect="sqlite"),
)

# What reports read instead of the attempts of a period; see `storage/schema/kept_figures.py`.
notification_figures = Table(
    "notification_figures",
    metadata,
    Column("hours", Integer, primary_key=True, autoincrement=False),
    # In the key, so that a new attempt shows with one seek that it began after all of them.
    Column("ends_at", UtcDateTime, primary_key=True),
    Column("begins_at", UtcDateTime, nullable=False),
    # Null while a process, the builder, is counting.
    Column("figures", Text),
    Column("builder", Text),
    sqlite_with_rowid=False,
)


RENEWAL_SUCCESS = "RenewalSuccess"
"""The type of notification that reports a renewal."""

DIALECT = "dialect"
"""The key in `Index.info` of an index that only one kind of database has."""


def _partial(
    name: str, *columns: Column[object], where: str, unique: bool = False, dialect: str | None = None
) -> None:
    predicate = text(where)
    index = Index(name, *columns, unique=unique, sqlite_where=predicate, postgresql_where=predicate)
    if dialect is not None:
        index.info[DIALECT] = dialect
        index.ddl_if(dialect=dialect)


_n = notification_events.c

# A database uses a partial index only for a query that repeats its predicate with literals.
_partial(
    "idx_notification_events_retry_sweep",
    _n.next_retry_at,
    where="status = 'failed' AND next_retry_at IS NOT NULL",
)
# With the status in the key, SQLite's planner prefers these to the index for lists. PostgreSQL's planner
# drops a status that the predicate implies, and could then not seek by the columns after it; with a
# predicate that no other index has, it prefers these.
for _dialect, _key, _predicate in (
    ("sqlite", (_n.status,), "status = '{}'"),
    ("postgresql", (), "(status = '{}') IS TRUE"),
):
    _partial(
        "idx_notification_events_pending",
        *_key,
        _n.channel,
        _n.created_at,
        where=_predicate.format("pending"),
        dialect=_dialect,
    )
    _partial(
        "idx_notification_events_failed",
        *_key,
        _n.channel,
        _n.next_retry_at,
        _n.created_at,
        where=_predicate.format("failed"),
        dialect=_dialect,
    )
    # Finds out with one seek whether a certificate was renewed later, however many notifications are about
    # it.
    _partial(
        "idx_notification_events_renewals",
        *((_n.type,) if _dialect == "sqlite" else ()),
        _n.certificate_id,
        _n.created_at,
        where=f"type = '{RENEWAL_SUCCESS}'",
        dialect=_dialect,
    )
# certctl's database is PostgreSQL. In others, and while nothing is taken over, it is empty.
_partial(
    "idx_notification_events_rescue",
    _n.channel,
    _n.rescue_at,
    _n.created_at,
    where="(status = 'failed') IS TRUE AND next_retry_at IS NULL",
    dialect="postgresql",
)
_partial("idx_notification_events_lease", _n.lease_expires_at, where="lease_expires_at IS NOT NULL")
_partial(
    "idx_notification_events_idempotency_key",
    _n.idempotency_key,
    where="idempotency_key IS NOT NULL",
    unique=True,
)
_partial("idx_notification_events_origin", _n.origin_id, where="origin_id IS NOT NULL")
_partial(
    "idx_notification_events_newest_undelivered",
    _n.status,
    _n.created_at,
    _n.id,
    # It is null in all of these rows, but SQLite counts them from the index alone only if the index contains
    # every column of the condition.
    _n.sent_at,
    where="status = 'sent' AND sent_at IS NULL",
)

# Lists are newest first, so each of these ends in the order of the list. The names differ from those of
# certctl's own indexes, which a database may already have.
Index("idx_notification_events_newest", _n.created_at, _n.id)
Index("idx_notification_events_newest_by_status", _n.status, _n.created_at, _n.id)
Index("idx_notification_events_newest_by_channel", _n.channel, _n.created_at, _n.id)
_partial(
    "idx_notification_events_newest_by_certificate",
    _n.certificate_id,
    _n.created_at,
    _n.id,
    where="certificate_id IS NOT NULL",
)
Index("idx_notification_events_newest_by_type", _n.type, _n.created_at, _n.id)
Index("idx_notification_events_newest_by_recipient", _n.recipient, _n.created_at, _n.id)

# For queries of recent attempts by channel and outcome, which read only the index.
Index(
    "idx_notification_attempts_recent",
    notification_attempts.c.started_at,
    notification_attempts.c.channel,
    notification_attempts.c.outcome,
)

Index("idx_notification_audit_notification", notification_audit.c.notification_id)

# Rows of processes that have gone are kept for a while; the live ones are those seen last.
Index("idx_notification_processes_seen", notification_processes.c.seen_at)
