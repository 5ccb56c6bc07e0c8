"""Points in time as people write them."""

from datetime import UTC, datetime

import pytest

from certctl_mcp.services.moments import advice, parse_moment

NOW = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00+02:00", "2026-01-31T06:00:00+00:00"),
        (" 90m ", "2026-03-01T14:00:00+00:00"),
        ("1h30m", "2026-03-01T14:00:00+00:00"),
        ("today", "2026-03-01T00:00:00+00:00"),
        ("Yesterday", "2026-02-28T00:00:00+00:00"),
    ],
)
def test_dates_times_ages_and_days_are_parsed(given: str, expected: str) -> None:
    assert parse_moment(given, NOW).isoformat() == expected


@pytest.mark.parametrize(
    "given", ["", "24", "last week", "2026-01-01\u200b11:00", "9999d", "2026-13-01", "Z"]
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="not a point in time"):
        parse_moment(given, NOW)


@pytest.mark.parametrize(
    ("given", "advised"),
    [
        ("Last  night", "it may mean 2026-02-28T18:00Z or 2026-03-01T00:00Z"),
        ("24", "it may mean 24m or 24h or 24d"),
        ("20260", "give ISO 8601 such as"),
        ("soon", "give ISO 8601 such as"),
    ],
)
def test_the_error_for_an_ambiguous_time_lists_its_meanings(given: str, advised: str) -> None:
    assert advice(given, NOW).startswith(advised)
