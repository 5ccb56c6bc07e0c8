"""The registry of processes that deliver, with their channels and heartbeats.

It shows which notifications no process can deliver. The database's time decides which processes are alive, so
that all of them agree.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, case, delete, or_, update

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.schema.tables import notification_processes
from storage.sql.dialects import INSERTS, Insert
from storage.sql.text import storable
from storage.sql.types import UtcDateTime

HEARTBEAT_INTERVAL = timedelta(seconds=20)
"""The interval between heartbeats."""

ALIVE_WITHIN = timedelta(seconds=60)
"""A process is alive for this long after its last heartbeat."""

KEPT_FOR = timedelta(days=30)
"""How long the channels of a process are remembered after it has ended."""

_p = notification_processes.c
_now = bindparam("now", type_=UtcDateTime)
_dead_before = bindparam("dead_before", type_=UtcDateTime)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat of a process that delivers, with its channels."""

    name: str
    host: str
    version: str
    channels: tuple[str, ...]
    rescues: bool = False
    """Whether certctl delivers, so that this process attempts only what certctl leaves."""


def _register(insert: Insert) -> Insert:
    row = insert.values(
        name=bindparam("name"),
        host=bindparam("host"),
        version=bindparam("version"),
        channels=bindparam("channels"),
        rescues=bindparam("rescues"),
        started_at=_now,
        alive_since=_now,
        seen_at=_now,
    )
    # A process that was suspended, or could not write, missed what happened meanwhile.
    interrupted = or_(_p.seen_at < _dead_before, _p.alive_since > _now)
    return row.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "seen_at": row.excluded.seen_at,
            "channels": row.excluded.channels,
            "rescues": row.excluded.rescues,
            "left_at": None,
            "alive_since": case((interrupted, row.excluded.seen_at), else_=_p.alive_since),
        },
    )


_REGISTER = PerDatabase(
    sqlite=_register(INSERTS["sqlite"](notification_processes)).returning(_p.alive_since),
    postgresql=_register(INSERTS["postgresql"](notification_processes)).returning(_p.alive_since),
)
# Otherwise, on SQLite, a process whose clock was ahead would seem alive until that time.
_CORRECT = update(notification_processes).where(_p.seen_at > _now).values(seen_at=_now)
_FORGET = delete(notification_processes).where(_p.seen_at < bindparam("forget_before", type_=UtcDateTime))
_LEAVE = update(notification_processes).where(_p.name == bindparam("left")).values(seen_at=_now, left_at=_now)


def heartbeat(transaction: Transaction, heartbeats: Sequence[Heartbeat]) -> list[datetime]:
    """Register each process or renew its registration. Returns since when it has been alive without
    interruption."""
    connection, now = transaction.connection, transaction.now
    times = {"now": now, "dead_before": now - ALIVE_WITHIN}
    connection.execute(_CORRECT, {"now": now})
    connection.execute(_FORGET, {"forget_before": now - KEPT_FOR})
    return [
        connection.execute(
            transaction.choose(_REGISTER),
            {
                **times,
                "name": one.name,
                "host": storable(one.host),
                "version": one.version,
                "channels": json.dumps(one.channels),
                "rescues": one.rescues,
            },
        ).scalar_one()
        for one in heartbeats
    ]


def leave(transaction: Transaction, names: Sequence[str]) -> list[None]:
    """Remove these processes, which have stopped delivering."""
    for name in names:
        transaction.connection.execute(_LEAVE, {"left": name, "now": transaction.now})
    return [None for _ in names]
