"""Periods are divided into few steps that begin at round times."""

from datetime import datetime, timedelta

import pytest

from certctl_mcp.services.periods import LONGEST_PERIOD, MAX_STEPS, Period
from tests.builders import NOON


def ending_at(until: datetime, length: timedelta) -> Period:
    return Period(until - length, until)


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(seconds=1), timedelta(seconds=1)),
        (timedelta(minutes=90), timedelta(minutes=5)),
        (timedelta(hours=24), timedelta(hours=1)),
        (timedelta(hours=24, microseconds=1), timedelta(hours=2)),
        (timedelta(days=7), timedelta(hours=8)),
        (timedelta(days=30), timedelta(days=2)),
        (LONGEST_PERIOD, timedelta(days=16)),
    ],
)
def test_the_longer_the_period_the_longer_its_steps(length: timedelta, step: timedelta) -> None:
    assert ending_at(NOON, length).step == step


def test_steps_begin_at_round_times() -> None:
    period = ending_at(NOON + timedelta(minutes=37, seconds=12), timedelta(hours=24))
    assert period.beginning == NOON - timedelta(hours=24)
    assert ending_at(NOON, timedelta(hours=24)).beginning == NOON - timedelta(hours=24)
    assert ending_at(NOON, timedelta(days=20)).beginning.hour == 0


def test_a_moment_before_the_epoch_has_its_step_too() -> None:
    period = ending_at(datetime.fromisoformat("1950-06-01T12:34:56Z"), timedelta(hours=24))
    assert period.beginning == datetime.fromisoformat("1950-05-31T12:00:00Z")


@pytest.mark.parametrize("seconds", [1, 59, 3_601, 86_400, 500_000, 12_345_678, 366 * 86_400])
def test_no_period_has_many_more_steps_than_fit_in_a_chart(seconds: int) -> None:
    period = ending_at(NOON + timedelta(seconds=17), timedelta(seconds=seconds))
    assert -((period.beginning - period.until) // period.step) <= MAX_STEPS + 1
