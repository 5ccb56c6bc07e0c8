"""Outcomes are retried until they are written; while the database is not writable, nothing may be claimed."""

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


class FailingDatabase:
    """A database that fails the first writes with the given errors."""

    def __init__(self, *errors: StorageError) -> None:
        self.errors = list(errors)

    async def write(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        return True


def write_outcome(writer: OutcomeWriter, database: FailingDatabase) -> asyncio.Task[bool]:
    return asyncio.create_task(writer.write(CLAIM, AttemptOutcome.SENT, database.write))


@pytest.mark.parametrize(
    ("error", "claims_meanwhile"),
    [
        (DatabaseBusyError("locked"), False),
        (DatabaseUnreachableError("restarting"), False),
        (DatabaseReadOnlyError("read-only"), False),
        (DiskFullError("full"), False),
        (ChangeUnknownError("connection lost"), False),
        # The error may concern only this outcome.
        (StorageError("the text can't be stored"), True),
    ],
    ids=lambda value: str(value) if isinstance(value, StorageError) else "",
)
async def test_a_write_is_retried_after_any_error(error: StorageError, claims_meanwhile: bool) -> None:
    waits: list[float] = []
    claimed_meanwhile: list[bool] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        claimed_meanwhile.append(writer.can_write)

    writer = OutcomeWriter(sleep)
    assert writer.can_write
    assert await write_outcome(writer, FailingDatabase(*[error] * 6))
    assert waits == [0.5, 1, 2, 4, 5, 5]
    assert claimed_meanwhile == [claims_meanwhile] * 6
    assert writer.can_write


async def test_claims_resume_once_any_outcome_is_written() -> None:
    refused, again = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        refused.set()
        await again.wait()

    writer = OutcomeWriter(sleep)
    kept = write_outcome(writer, FailingDatabase(DatabaseBusyError("locked")))
    await refused.wait()
    assert not writer.can_write
    assert await write_outcome(writer, FailingDatabase())
    assert writer.can_write
    again.set()
    assert await kept


async def test_too_many_unwritten_outcomes_stop_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_writer, "MAX_UNWRITTEN", 2)
    refused, again = asyncio.Semaphore(0), asyncio.Event()

    async def sleep(_: float) -> None:
        refused.release()
        await again.wait()

    writer = OutcomeWriter(sleep)
    kept = [write_outcome(writer, FailingDatabase(StorageError("strange"))) for _ in range(2)]
    for _ in kept:
        await refused.acquire()
    assert not writer.can_write
    again.set()
    assert await asyncio.gather(*kept) == [True, True]
    assert writer.can_write


@pytest.mark.parametrize("answers", [True, False], ids=["refused", "unanswered"])
async def test_an_outcome_that_is_lost_at_exit_is_logged(
    caplog: pytest.LogCaptureFixture, answers: bool
) -> None:
    async def write() -> bool:
        if answers:
            raise DatabaseBusyError("the database is locked")
        await asyncio.Event().wait()
        return True

    await OutcomeWriter().write_last(CLAIM, AttemptOutcome.DEAD, write, timedelta(milliseconds=10))
    reason = "the database is locked" if answers else "the database did not respond within 0.01 s"
    assert caplog.messages == [
        f"the outcome of notif-0001, attempt 1 (dead), is lost, because the process exits and {reason}; "
        "the notification is attempted again when its lease expires"
    ]
