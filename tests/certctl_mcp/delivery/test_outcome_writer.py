"""Outcomes are tried until they are written; while the database can't be written, nothing may be claimed."""

import asyncio
from datetime import timedelta

import pytest

from certctl_mcp.delivery import outcome_writer
from certctl_mcp.delivery.outcome_writer import OutcomeWriter
from storage.errors import (
    ChangeUnknownError,
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    DiskFullError,
    StorageError,
)
from storage.models import AttemptOutcome, Claim
from tests.builders import LEASE, NOON, notification

CLAIM = Claim(notification(), "worker-1", 1, NOON, NOON + LEASE)


class Refusing:
    """A database that refuses so many writes, and then takes them."""

    def __init__(self, *errors: StorageError) -> None:
        self.errors = list(errors)

    async def write(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        return True


def written(writer: OutcomeWriter, database: Refusing) -> asyncio.Task[bool]:
    return asyncio.create_task(writer.write(CLAIM, AttemptOutcome.SENT, database.write))


@pytest.mark.parametrize(
    ("error", "claims_meanwhile"),
    [
        (DatabaseBusyError("locked"), False),
        (DatabaseUnreachableError("restarting"), False),
        (DatabaseReadOnlyError("read-only"), False),
        (DiskFullError("full"), False),
        (ChangeUnknownError("connection lost"), False),
        # It may concern this outcome only.
        (StorageError("the text can't be stored"), True),
    ],
    ids=lambda value: str(value) if isinstance(value, StorageError) else "",
)
async def test_every_error_is_waited_out(error: StorageError, claims_meanwhile: bool) -> None:
    waits: list[float] = []
    claimed_meanwhile: list[bool] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        claimed_meanwhile.append(writer.can_write)

    writer = OutcomeWriter(sleep)
    assert writer.can_write
    assert await written(writer, Refusing(*[error] * 6))
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert claimed_meanwhile == [claims_meanwhile] * 6
    assert writer.can_write


async def test_claiming_goes_on_when_any_outcome_is_written_again() -> None:
    refused, again = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        refused.set()
        await again.wait()

    writer = OutcomeWriter(sleep)
    kept = written(writer, Refusing(DatabaseBusyError("locked")))
    await refused.wait()
    assert not writer.can_write
    assert await written(writer, Refusing())
    assert writer.can_write
    again.set()
    assert await kept


async def test_with_very_many_unwritten_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_writer, "MOST_UNWRITTEN", 2)
    refused, again = asyncio.Semaphore(0), asyncio.Event()

    async def sleep(_: float) -> None:
        refused.release()
        await again.wait()

    writer = OutcomeWriter(sleep)
    kept = [written(writer, Refusing(StorageError("strange"))) for _ in range(2)]
    for _ in kept:
        await refused.acquire()
    assert not writer.can_write
    again.set()
    assert await asyncio.gather(*kept) == [True, True]
    assert writer.can_write


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "unanswered"])
async def test_at_the_end_an_outcome_that_can_t_be_written_is_logged(
    caplog: pytest.LogCaptureFixture, answers: bool
) -> None:
    async def write() -> bool:
        if answers:
            raise DatabaseBusyError("the database is locked")
        await asyncio.Event().wait()
        return True

    await OutcomeWriter().write_last(CLAIM, AttemptOutcome.DEAD, write, timedelta(milliseconds=10))
    reason = "the database is locked" if answers else "the database did not answer within 0.01 s"
    assert caplog.messages == [
        f"the outcome of notif-0001, attempt 1 (dead), is lost, because the process ends and {reason}; "
        "the notification is attempted again when its lease expires"
    ]
