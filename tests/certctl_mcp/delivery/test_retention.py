import logging
from collections.abc import Mapping
from datetime import timedelta

import anyio
import pytest

from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.delivery.periodic import FIRST_RUN_AFTER
from certctl_mcp.delivery.retention import INTERVAL, Retention
from storage.errors import DatabaseBusyError
from storage.models import Retained
from storage.operations.retention import Expired, Expiry, RetentionRun
from tests.builders import NOON, SettableClock
from tests.certctl_mcp.delivery.sleeps import Sleeps

DAY = timedelta(days=1)
SETTINGS = RetentionSettings(sent=90 * DAY, dead=365 * DAY)


class Store:
    """Pretends to delete the given numbers of notifications, one number a batch."""

    def __init__(self, *numbers: int) -> None:
        self.batches: list[Expiry] = []
        self.error: Exception | None = None
        self._numbers = list(numbers)

    async def delete_expired(self, batch: Expiry) -> Expired:
        self.batches.append(batch)
        if self.error is not None:
            raise self.error
        number = self._numbers.pop(0) if self._numbers else 0
        deleted: Mapping[Retained, int] = batch.run.deleted
        if number:
            deleted = {**deleted, batch.kind: deleted.get(batch.kind, 0) + number}
        return Expired(RetentionRun(batch.run.actor, dict(deleted), 1), NOON if number == 500 else None)


def retention(store: Store, settings: RetentionSettings = SETTINGS, sleep: Sleeps | None = None) -> Retention:
    return Retention(store, settings, actor="worker-1", clock=SettableClock(), sleep=sleep or Sleeps(10))


async def test_each_kind_has_its_own_period_and_undelivered_shares_that_of_dead() -> None:
    store = Store()
    await retention(store).delete_expired()
    assert [(batch.kind, NOON - batch.before) for batch in store.batches] == [
        (Retained.SENT, 90 * DAY),
        (Retained.DEAD, 365 * DAY),
        (Retained.UNDELIVERED, 365 * DAY),
    ]


async def test_all_batches_are_deleted_and_counted() -> None:
    store = Store(500, 20, 3)
    deleting = retention(store)
    assert await deleting.delete_expired() == {Retained.SENT: 520, Retained.DEAD: 3}
    assert [batch.after for batch in store.batches] == [None, NOON, None, None]
    assert store.batches[-1].run.entry == 1
    assert deleting.deleted == {Retained.SENT: 520, Retained.DEAD: 3, Retained.UNDELIVERED: 0}


async def test_batches_are_separated_by_pauses_for_other_writers() -> None:
    sleep = Sleeps(10)
    await retention(Store(500, 500, 0), sleep=sleep).delete_expired()
    assert len(sleep.seconds) == 2


async def run_until(sleep: Sleeps, store: Store, settings: RetentionSettings = SETTINGS) -> None:
    with anyio.CancelScope(), pytest.raises(anyio.get_cancelled_exc_class()):
        await retention(store, settings, sleep).run()


async def test_it_runs_hourly_and_first_a_minute_after_the_start() -> None:
    sleep = Sleeps(3)
    await run_until(sleep, store := Store())
    assert sleep.seconds == [FIRST_RUN_AFTER.total_seconds(), *[INTERVAL.total_seconds()] * 2]
    assert len(store.batches) == 2 * 3


@pytest.mark.parametrize("error", [DatabaseBusyError("locked"), RuntimeError("a bug")])
async def test_any_error_is_retried_an_hour_later(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.error = error
    with caplog.at_level(logging.WARNING):
        await run_until(Sleeps(3), store)
    assert len(store.batches) == 2
    assert len(caplog.records) == 2


async def test_without_periods_nothing_is_deleted() -> None:
    store = Store()
    await retention(store, RetentionSettings()).run()
    assert store.batches == []
