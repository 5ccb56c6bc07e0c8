"""Group commit: many callers write durably for the price of one commit.

A process runs one transaction at a time, or one of each operation if the database allows several writers.
Everything that queues up meanwhile goes into the next one, so callers share the cost of a durable commit;
each returns once its own change is committed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import Any

import anyio
from sqlalchemy.exc import DataError, IntegrityError

from storage.engine.backend import Transact
from storage.engine.transaction import (
    Item,
    Operation,
    Refused,
    Result,
    Transaction,
    TransactionFailedError,
)
from storage.errors import NotificationError, StorageError
from storage.structs import struct

LARGEST_BATCH = 500
"""The most items in a transaction, which bounds how long other processes wait for it."""

_REJECTED_ROW = (IntegrityError, DataError, NotificationError)
"""Failures caused by a single row."""


class WriteFailedError(Exception):
    """The transaction of a write failed, and nothing of it was changed. Every caller gets its own."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"the write failed: {cause}")
        self.cause = cause


@struct
class _Committed:
    result: Any


@dataclass(frozen=True, slots=True)
class _Failed:
    cause: Exception


@dataclass(slots=True, eq=False)
class _Write:
    """One caller's change, until its result is known."""

    operation: Operation[Any, Any]
    item: object
    repeatable: bool
    outcome: "asyncio.Future[_Committed | Refused | _Failed]"

    def end(self, outcome: _Committed | Refused | _Failed) -> None:
        if not self.outcome.cancelled():
            self.outcome.set_result(outcome)


_Group = Sequence[_Write]
"""Writes of one operation, which is given all their items together."""


class Writer:
    """The only way to change the database. `run` must be running for `write` to return."""

    def __init__(self, *transact: Transact) -> None:
        """Each of `transact` runs one transaction at a time. If there are several, a transaction is for one
        operation only, so that a claim needn't wait until outcomes are on the disk."""
        self._transact = transact
        self._queue: list[_Write] = []
        self._idle: list[tuple[int, asyncio.Event]] = []
        self._in_progress: set[Operation[Any, Any]] = set()
        self._closing = False

    async def write(
        self, operation: Operation[Item, Result], item: Item, *, repeatable: bool = False
    ) -> Result:
        """Apply `operation` to `item` and return once the change is durable.

        Queued items of one operation are passed to it together, in order of arrival. A caller that is
        cancelled can't know whether its change was made. `repeatable` means that the result for the item is
        the same if every statement of the operation commits on its own, and if the operation runs twice.

        Raises:
            NotificationError: the operation refused this item; nothing was changed for it.
            WriteFailedError: the transaction failed; nothing in it was changed.
            StorageError: the writer was closed.
        """
        if self._closing:
            raise StorageError("the database was closed; nothing was written")
        write = _Write(operation, item, repeatable, asyncio.get_running_loop().create_future())
        self._queue.append(write)
        self._wake_one()
        outcome = await write.outcome
        if isinstance(outcome, _Failed):
            raise WriteFailedError(outcome.cause) from outcome.cause
        if isinstance(outcome, Refused):
            raise outcome.error
        result: Result = outcome.result
        return result

    async def run(self) -> None:
        """Commit queued writes until `close` was called and the queue is empty."""
        async with anyio.create_task_group() as tasks:
            for number, transact in enumerate(self._transact):
                tasks.start_soon(self._run, number, transact)

    def close(self) -> None:
        """Let `run` return once it has committed the queue."""
        self._closing = True
        while self._idle:
            self._wake_one()

    async def _run(self, number: int, transact: Transact) -> None:
        while True:
            if batch := self._take():
                operations = {write.operation for write in batch}
                self._in_progress |= operations
                await self._commit([write for write in batch if not write.outcome.cancelled()], transact)
                self._in_progress -= operations
            elif self._closing:
                return
            else:
                work = asyncio.Event()
                heappush(self._idle, (number, work))
                await work.wait()

    def _wake_one(self) -> None:
        """Wake only the first idle one, so that the other connections are not opened while there is little to
        do."""
        if self._idle:
            _, work = heappop(self._idle)
            work.set()

    def _take(self) -> Sequence[_Write]:
        """Take the writes of the next transaction from the queue; none if all have to wait."""
        waiting, others = self._queue, list[_Write]()
        if len(self._transact) > 1:
            startable = (write.operation for write in waiting if write.operation not in self._in_progress)
            operation = next(startable, None)
            waiting = [write for write in self._queue if write.operation == operation]
            others = [write for write in self._queue if write.operation != operation]
        self._queue = others + waiting[LARGEST_BATCH:]
        return waiting[:LARGEST_BATCH]

    async def _commit(self, batch: Sequence[_Write], transact: Transact) -> None:
        """Write all in one transaction. If it fails because of some items, write the others in smaller
        ones."""
        if not batch:
            return
        groups = _by_operation(batch)
        repeatable = len(groups) == 1 and all(write.repeatable for write in batch)
        try:
            answers = await transact(partial(_apply, groups), repeatable=repeatable)
        except TransactionFailedError as failure:
            _fail(batch, failure.cause)
        except Exception as failure:  # noqa: BLE001 - raised in the callers
            parts = _smaller(groups, failure)
            if not parts:
                _fail(batch, failure)
            for part in parts:
                await self._commit(part, transact)
        else:
            for group, answered in zip(groups, answers, strict=True):
                for write, answer in zip(group, answered, strict=True):
                    write.end(answer if isinstance(answer, Refused) else _Committed(answer))


def _by_operation(batch: Sequence[_Write]) -> list[_Group]:
    groups: dict[Operation[Any, Any], list[_Write]] = {}
    for write in batch:
        groups.setdefault(write.operation, []).append(write)
    return list(groups.values())


def _apply(groups: Sequence[_Group], transaction: Transaction) -> list[Sequence[object]]:
    answers = []
    for group in groups:
        operation = group[0].operation
        answered = operation(transaction, [write.item for write in group])
        if len(answered) != len(group):
            # Raised inside the transaction, to roll it back: the results can't be matched to their items.
            raise ValueError(f"{operation!r} returned {len(answered)} answers for {len(group)} items")
        answers.append(answered)
    return answers


def _smaller(groups: Sequence[_Group], failure: Exception) -> Sequence[_Group]:
    """The parts to retry separately after this failure; none if the failure concerns all of them."""
    if len(groups) > 1:
        return groups
    (group,) = groups
    if len(group) == 1 or not isinstance(failure, _REJECTED_ROW):
        return ()
    middle = len(group) // 2
    return group[:middle], group[middle:]


def _fail(batch: Sequence[_Write], cause: Exception) -> None:
    for write in batch:
        write.end(Refused(cause) if isinstance(cause, NotificationError) else _Failed(cause))
