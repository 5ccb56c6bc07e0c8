"""PostgreSQL's query plans for the statements of an operation, once it may use generic plans."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from tests.storage.query_plans.plans import Statement

RUNS = 7
"""From the sixth run on, a prepared statement may use a generic plan."""

_PLANNED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_OURS = "notification_"
_OF_FEW_ROWS = ("notification_channels", "notification_counts")


@dataclass(frozen=True)
class Scan:
    """A node of a plan that reads one of our tables."""

    kind: str
    index: str
    """The index's name without the common prefix; empty for a sequential scan."""
    bounded: bool
    """Whether it has an index condition or a limit."""


async def scans(
    url: str, statements: list[Statement], *, cached_plan: Literal["auto", "force_custom_plan"] = "auto"
) -> list[Scan]:
    """Custom plans are those of unnamed statements, which are planned for their parameters every time."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await connection.execute(f"SET plan_cache_mode = {cached_plan}")
        return [scan for each in statements for scan in _scans(await _plan(connection, each))]
    finally:
        await connection.close()


async def _plan(connection: asyncpg.Connection, statement: Statement) -> dict[str, Any]:
    text, parameters = statement
    if not text.startswith(_PLANNED):
        return {}
    await connection.execute(f"PREPARE hot AS {text}")
    values = f"({', '.join(map(_literal, parameters))})" if parameters else ""
    for _ in range(RUNS):
        answer = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot{values}")
    await connection.execute("DEALLOCATE hot")
    plan: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return plan


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _scans(node: dict[str, Any], *, limited: bool = False) -> Iterator[Scan]:
    kind = node.get("Node Type", "")
    table, index = node.get("Relation Name", ""), node.get("Index Name", "")
    read = table or index
    ours = _OURS in read and not read.startswith(_OF_FEW_ROWS)
    if "Scan" in kind and ours and kind != "Bitmap Heap Scan":
        name = "primary key" if index.endswith("_pkey") else index.removeprefix("idx_notification_")
        yield Scan(kind, name, limited or "Index Cond" in node)
    for part in node.get("Plans", ()):
        yield from _scans(part, limited=kind == "Limit" or (limited and kind == "LockRows"))
