"""How tests are distributed over the workers of a run: more workers than processors, and long files first.

By default, xdist starts with the files with most tests and may end with a file whose one test takes a minute.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LONGEST = (
    # Installs what the other files there need too: they would only wait for it.
    "tests/clients/test_triage.py",
    "tests/test_benchmarks.py",
    "tests/certctl/",
    "tests/e2e/",
    "tests/reliability/",
    "tests/clients/",
    "tests/ui/",
    "tests/certctl_mcp/mcp_server/tools/test_hostile_text.py",
    "tests/storage/",
)


def worker_count() -> int:
    """The number of workers for `-n auto`. While some wait for processes or browsers, others can run."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * processors


def disable_reordering(config: pytest.Config) -> None:
    """Make xdist, if it is used, distribute the files in the given order."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def sort_long_files_first(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT).as_posix()
    return next((rank for rank, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))
