"""Distributes tests over the workers of a run: more workers than processors, with long files spread out.

By default, xdist starts with the files with most tests and may end with a file whose one test takes a minute.
Long files mostly wait: for processes, browsers and time. If all of them ran first, the processors would idle;
so other files come between them, and last.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LONG = (
    # Installs what the other files there need too: they would only wait for it.
    "tests/clients/test_triage.py",
    "tests/test_benchmarks.py",
    "tests/e2e/test_http_schema.py",
    "tests/ui/test_page.py",
    "tests/reliability/",
    "tests/e2e/",
    "tests/certctl/",
    "tests/clients/",
    "tests/ui/",
    "tests/storage/query_plans/",
    "tests/certctl_mcp/mcp_server/tools/test_hostile_text.py",
    "tests/test_patterns.py",
    "tests/storage/schema/test_migrations.py",
    "tests/certctl_mcp/delivery/test_presence.py",
    "tests/certctl_mcp/http/test_attacks.py",
    "tests/certctl_mcp/runtime/test_wait_for_database.py",
    "tests/storage/engine/postgresql/test_lost_connection.py",
)
"""The longest first."""

OTHERS_BETWEEN = 3

File = list[pytest.Item]


def worker_count() -> int:
    """The number of workers for `-n auto`. While some wait for processes or browsers, others can run."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 1


def disable_reordering(config: pytest.Config) -> None:
    """Make xdist, if it is used, distribute the files in the given order."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def spread_long_files(items: list[pytest.Item]) -> None:
    files = [list(file) for _, file in groupby(items, lambda item: item.path)]
    long = sorted((file for file in files if _rank(file) < len(LONG)), key=_rank)
    others = (file for file in files if _rank(file) == len(LONG))
    items[:] = [item for file in _spread(long, others) for item in file]


def _spread(long: Iterable[File], others: Iterator[File]) -> Iterator[File]:
    for file in long:
        yield file
        yield from islice(others, OTHERS_BETWEEN)
    yield from others


def _rank(file: File) -> int:
    path = file[0].path.relative_to(ROOT).as_posix()
    return next((rank for rank, long in enumerate(LONG) if path.startswith(long)), len(LONG))
