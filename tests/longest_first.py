"""In what order do the files of tests run? Those that take longest first, so that all workers end together.

Left to itself, xdist begins with the files of most tests, and ends with a file of one that takes a minute.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LONGEST = (
    "tests/certctl_mcp/mcp_server/tools/test_hostile_text.py",
    "tests/clients",
    "tests/e2e",
    "tests/reliability",
    "tests/ui",
    "tests/storage",
)


def keep_order(config: pytest.Config) -> None:
    """xdist, where it is used, gives the files out as they come."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def order(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT).as_posix()
    return next((rank for rank, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))
