"""How the tests are spread over the workers of a run: more workers than processors, and long files first.

Left to itself, xdist begins with the files of most tests and ends with a file of one that takes a minute.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LONGEST = (
    "tests/clients/",
    "tests/test_benchmarks.py",
    "tests/certctl/",
    "tests/e2e/",
    "tests/reliability/",
    "tests/ui/",
    "tests/certctl_mcp/mcp_server/tools/test_hostile_text.py",
    "tests/storage/",
)


def workers() -> int:
    """For `-n auto`. Many tests wait for processes, leases and browsers; another worker uses that time."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + (processors + 1) // 2


def keep_order(config: pytest.Config) -> None:
    """xdist, where it is used, hands the files out in the order they come."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def order(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT).as_posix()
    return next((rank for rank, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))
