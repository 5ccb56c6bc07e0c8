"""PostgreSQL caches generic plans, so one made while the table is empty must use the indexes too."""

import re

import asyncpg

from storage.database import Database
from storage.engine.postgresql.backend import BY_INDEX
from storage.repository import NotificationRepository
from tests.builders import CHANNELS, TOOK, WAIT, Queue, SettableClock
from tests.storage.query_plans.plans import Statement, recorded

USED = {"pending", "failed", "lease", "pkey"}
ALTERNATIVE = {"retry_sweep"}


async def plans(url: str, statements: list[Statement]) -> list[str]:
    """The lines of their generic plans, made without parameter values."""
    connection = await asyncpg.connect(url)
    try:
        for name, value in BY_INDEX.items():
            await connection.execute(f"SET {name} = {value}")
        lines: list[str] = []
        for number, (statement, parameters) in enumerate(statements):
            values = ", ".join("NULL" for _ in parameters)
            await connection.execute(f"PREPARE s{number} AS {statement}")
            lines += [line for (line,) in await connection.fetch(f"EXPLAIN EXECUTE s{number} ({values})")]
        return lines
    finally:
        await connection.close()


async def test_claims_and_outcomes_use_their_indexes(postgresql_url: str, clock: SettableClock) -> None:
    async with Database.open(postgresql_url, clock=clock) as database:
        queue = Queue(NotificationRepository(database), clock)
        for _ in range(2):
            await queue.pending()
        with recorded() as statements:
            sent, failed = await queue.claim_due(channels=CHANNELS)
            await queue.repository.record_sent(sent, TOOK)
            await queue.repository.record_failed_attempt(failed, TOOK, "HTTP 503", WAIT)
    changing = [each for each in statements if "notification_events" in each[0]]
    lines = await plans(postgresql_url, changing)
    assert [line for line in lines if "Seq Scan on notification" in line] == []
    used = {
        index for line in lines for index in re.findall(r"using (?:idx_)?notification_events_(\w+)", line)
    }
    assert used - ALTERNATIVE == USED
