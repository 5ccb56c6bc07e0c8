from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("2m", timedelta(minutes=2)),
        ("1h30m", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("7d", timedelta(days=7)),
        (" 45 ", timedelta(seconds=45)),
        ("0.5", timedelta(milliseconds=500)),
        (45, timedelta(seconds=45)),
        (0.25, timedelta(milliseconds=250)),
        ("0", timedelta(0)),
    ],
)
def test_reads_units_and_plain_seconds(written: object, duration: timedelta) -> None:
    assert parse_duration(written) == duration


@pytest.mark.parametrize(
    "written", ["", "soon", "2 minutes", "m", "1h 30m", "1w", "1m!", "٣s", True, None, float("nan"), [1]]
)
def test_refuses_text_that_is_not_a_duration(written: object) -> None:
    with pytest.raises(ValueError, match="such as 90s, 2m, 1h30m, 500ms or a number of seconds"):
        parse_duration(written)


@pytest.mark.parametrize(
    "written", [-1, float("-inf"), float("inf"), "366d", "9" * 400, 10**400, timedelta(days=366), "9d" * 99]
)
def test_refuses_a_negative_duration_or_one_longer_than_a_year(written: object) -> None:
    with pytest.raises(ValueError, match="from 0s to 365d"):
        parse_duration(written)


@given(st.integers(min_value=0, max_value=365 * 86_400_000))
def test_a_formatted_duration_parses_to_the_same_value(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


def test_shows_the_largest_units() -> None:
    assert format_duration(timedelta(minutes=90)) == "1h30m"
    assert format_duration(timedelta(0)) == "0s"
