"""Every test that SECURITY.md names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THREATS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("| ") and "::" in line
]


@pytest.mark.parametrize("shown_by", [cells[-1] for cells in THREATS])
def test_the_tests_of_every_defence_exist(shown_by: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown_by)
    assert len(named) == shown_by.count("::")
    for path, test in named:
        assert re.search(rf"^\s*(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), test


def test_every_threat_has_a_defence() -> None:
    assert len(THREATS) > 15
    assert all(len(cells) == 3 and all(cells) for cells in THREATS)
