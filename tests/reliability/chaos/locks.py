"""A foreign transaction that locks the database for a time."""

import asyncio
import sqlite3

import asyncpg


async def lock(url: str, seconds: float) -> None:
    await (_lock_sqlite if url.startswith("sqlite") else _lock_postgresql)(url, seconds)


async def _lock_sqlite(url: str, seconds: float) -> None:
    connection = sqlite3.connect(
        url.removeprefix("sqlite:///"), timeout=30, isolation_level=None, check_same_thread=False
    )
    try:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        await asyncio.sleep(seconds)
    finally:
        connection.close()


async def _lock_postgresql(url: str, seconds: float) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(
                "LOCK TABLE notification_events, notification_attempts IN EXCLUSIVE MODE"
            )
            await asyncio.sleep(seconds)
    finally:
        await connection.close()
