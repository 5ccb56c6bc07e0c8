"""Ages as people and models write them."""

from datetime import UTC, datetime, timedelta

import pytest

from certctl_mcp.services.moments import parse_age, parse_moment
from tests.builders import NOON


@pytest.mark.parametrize(
    ("written", "age"),
    [
        ("90m", timedelta(minutes=90)),
        ("24H", timedelta(hours=24)),
        ("7 d", timedelta(days=7)),
        ("1w", timedelta(weeks=1)),
        ("24 hours", timedelta(hours=24)),
        ("2 Days ago", timedelta(days=2)),
        ("last 7 days", timedelta(days=7)),
        ("the past 3 hours", timedelta(hours=3)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("1 day and 2 hours", timedelta(days=1, hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("PT24H", timedelta(hours=24)),
        ("P7D", timedelta(days=7)),
        ("500ms", timedelta(milliseconds=500)),
    ],
)
def test_an_age_is_parsed(written: str, age: timedelta) -> None:
    assert parse_age(written) == age
    assert parse_moment(written, NOON) == NOON - age


@pytest.mark.parametrize(
    "written",
    [
        "",
        "24",
        "h",
        "P",
        "PT",
        "last night",
        "last week",
        "9999d",
        "1 fortnight",
        "-1h",
        "1h" * 40,
        "٣h",
        "1h\u200b",
    ],
)
def test_an_ambiguous_age_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_moment(written, NOON)


@pytest.mark.parametrize("written", ["\u0663h", "1h\u200b", "1\u00a0\u202eh"])
def test_invisible_and_foreign_characters_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not"):
        parse_moment(written, NOON)


def test_now_is_the_current_time() -> None:
    assert parse_moment("now", NOON) == NOON
    assert parse_moment("2026-01-01T00:00Z", NOON) == datetime(2026, 1, 1, tzinfo=UTC)
