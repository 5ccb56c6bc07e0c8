"""The memory growth of a process while it sweeps a long queue.

Arguments: the database's path, the receiver's URL, number of sweeps, notifications in each.
"""

import asyncio
import json
import sys
from datetime import timedelta

from certctl_mcp.config.settings import load_settings
from certctl_mcp.runtime.application import open_application
from tests.benchmarks.resident_memory import peak, reset_peak, resident

AT_MOST = timedelta(minutes=10)


async def sweep(environment: dict[str, str], sweeps: int, limit: int) -> dict[str, float]:
    async with open_application(load_settings(None, environment)) as application:
        reset_peak()
        before = resident()
        for _ in range(sweeps):
            report = await application.retry_loop.sweep(limit, AT_MOST)
            assert report.sent == limit, report
        return {"growth": peak() - before}


if __name__ == "__main__":
    database, receiver, how_often, how_many = sys.argv[1:]
    configured = {
        "CERTCTL_DATABASE_URL": f"sqlite:///{database}",
        "CERTCTL_WEBHOOK_URL": f"{receiver}/hook",
    }
    print(json.dumps(asyncio.run(sweep(configured, int(how_often), int(how_many)))))
