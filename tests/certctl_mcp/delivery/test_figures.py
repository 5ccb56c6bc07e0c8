import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio
import pytest

from certctl_mcp.config.settings import load_settings
from certctl_mcp.delivery.figures import INTERVAL, KEPT_FOR, SETTLED_AFTER, KeptFigures
from certctl_mcp.delivery.periodic import FIRST_RUN_AFTER
from certctl_mcp.runtime.application import open_application
from storage.errors import DatabaseBusyError
from storage.operations.keep_figures import FigurePeriod, day_of
from tests.builders import NOON, SettableClock
from tests.certctl_mcp.delivery.sleeps import Sleeps

YESTERDAY = FigurePeriod(day_of(NOON).begins_at - timedelta(days=1), 24)
TODAY = day_of(NOON)
SETTLED = NOON - SETTLED_AFTER


class Store:
    """Pretends that two days lack figures, each with one hour that has many attempts."""

    def __init__(self) -> None:
        self.kept: list[FigurePeriod] = []
        self.asked: list[tuple[datetime, datetime]] = []
        self.error: Exception | None = None
        self.busy = False

    async def days_to_keep(self, since: datetime, until: datetime) -> Sequence[FigurePeriod]:
        self.asked.append((since, until))
        if self.error is not None:
            raise self.error
        return TODAY, YESTERDAY

    async def hours_to_keep(self, day: FigurePeriod, until: datetime) -> Sequence[FigurePeriod]:
        assert until == SETTLED
        return (FigurePeriod(day.begins_at, 1),)

    async def keep_figures(self, periods: Sequence[FigurePeriod]) -> int:
        self.kept += periods
        return 0 if self.busy else len(periods)


def keeping(store: Store, sleep: Sleeps) -> KeptFigures:
    return KeptFigures(store, clock=SettableClock(), sleep=sleep)


async def run_until(sleep: Sleeps, store: Store) -> None:
    with pytest.raises(anyio.get_cancelled_exc_class()):
        await keeping(store, sleep).run()


async def test_each_day_follows_its_hours_unless_it_has_only_begun() -> None:
    store = Store()
    assert await keeping(store, Sleeps()).keep() == 3
    assert store.asked == [(NOON - KEPT_FOR, SETTLED)]
    assert store.kept == [
        FigurePeriod(TODAY.begins_at, 1),
        FigurePeriod(YESTERDAY.begins_at, 1),
        YESTERDAY,
    ]


async def test_days_are_separated_by_pauses_for_outcomes() -> None:
    sleep = Sleeps()
    await keeping(Store(), sleep).keep()
    assert len(sleep.seconds) == 2


async def test_if_nothing_can_be_kept_it_waits_for_the_next_time() -> None:
    store = Store()
    store.busy = True
    assert await keeping(store, Sleeps()).keep() == 0
    assert len(store.kept) == 1


async def test_it_runs_soon_after_the_start_and_then_now_and_then() -> None:
    sleep = Sleeps(4)
    await run_until(sleep, Store())
    assert sleep.seconds[0] == FIRST_RUN_AFTER.total_seconds()
    assert sleep.seconds[-1] == INTERVAL.total_seconds()


@pytest.mark.parametrize(
    ("error", "level"), [(DatabaseBusyError("locked"), logging.WARNING), (ValueError("bug"), logging.ERROR)]
)
async def test_errors_are_logged_and_end_nothing(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    store, sleep = Store(), Sleeps(3)
    store.error = error
    await run_until(sleep, store)
    assert len(store.asked) == 2
    assert {record.levelno for record in caplog.records} == {level}


@pytest.mark.parametrize(
    ("arguments", "keeps"), [({}, True), ({"CERTCTL_NOTIFICATION_DELIVER": "false"}, False)]
)
async def test_only_processes_that_deliver_keep_figures(
    fresh_url: str, arguments: dict[str, str], keeps: bool
) -> None:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": fresh_url, **arguments})
    async with open_application(settings) as application:
        assert (application.kept_figures is not None) is keeps
    async with open_application(settings.model_copy(update={"read_only": True})) as application:
        assert application.kept_figures is None
