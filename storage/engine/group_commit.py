"""How do many callers write durably at the speed of one? Group commit.

A process has one transaction under way at a time. Whatever waits when it ends goes into the next one
together, so the cost of a durable commit is shared; each caller returns once its own change is committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from storage.engine.backend import Transact
from storage.engine.transaction import Transaction, TransactionFailedError
from storage.errors import NotificationError, StorageError

Item = TypeVar("Item")
Result = TypeVar("Result")

Operation = Callable[[Transaction, Sequence[Item]], Sequence[Result | NotificationError]]
"""Applies a change for every item and answers each in its place: with a result, or with the error that
only this item is to get. It runs inside a transaction and must not end it."""

_Group = tuple[Operation[Any, Any], list[object]]

LARGEST_BATCH = 500
"""Items a transaction takes at most, which bounds how long it keeps other processes waiting."""


@dataclass(slots=True, eq=False)
class _Waiting:
    operation: Operation[Any, Any]
    item: object
    repeatable: bool
    answer: asyncio.Future[Any]


class Writer:
    """The only way to change the database. `run` must be running for `write` to return."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._waiting: list[_Waiting] = []
        self._work = asyncio.Event()
        self._closing = False

    async def write(
        self, operation: Operation[Item, Result], item: Item, *, repeatable: bool = False
    ) -> Result:
        """Apply `operation` to `item` and return once the change is durable.

        Items waiting for the same operation reach it together, in the order they came. A caller cancelled
        while it waits can't know whether its change was made. Where `repeatable`, the operation comes to the
        same for the item if each of its statements is a transaction of its own, and if it is done again.

        Raises:
            NotificationError: what the operation answered for this item; nothing was changed for it.
            SQLAlchemyError: the transaction failed; nothing of it was changed.
            StorageError: the writer was closed.
        """
        if self._closing:
            raise StorageError("the database was closed; nothing was written")
        waiting = _Waiting(operation, item, repeatable, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._work.set()
        result: Result = await waiting.answer
        return result

    async def run(self) -> None:
        """Commit what waits, until `close` was called and nothing waits any more."""
        while self._waiting or not self._closing:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
                wanted = [waiting for waiting in batch if not waiting.answer.cancelled()]
                answers = await self._commit(wanted)
                for waiting, answer in zip(wanted, answers, strict=True):
                    _give(answer, waiting.answer)

    def close(self) -> None:
        """Let `run` return after what waits now."""
        self._closing = True
        self._work.set()

    async def _commit(self, batch: list[_Waiting]) -> list[object]:
        """The answers in the order of the batch; an exception answers as an error."""
        places: dict[Operation[Any, Any], list[int]] = {}
        for place, waiting in enumerate(batch):
            places.setdefault(waiting.operation, []).append(place)
        groups = [(operation, [batch[place].item for place in group]) for operation, group in places.items()]
        repeatable = len(groups) == 1 and all(waiting.repeatable for waiting in batch)
        results = await self._together(groups, repeatable=repeatable)
        answers: list[object] = [None] * len(batch)
        for group, answered in zip(places.values(), results, strict=True):
            for place, answer in zip(group, answered, strict=True):
                answers[place] = answer
        return answers

    async def _together(self, groups: list[_Group], *, repeatable: bool) -> list[Sequence[object]]:
        """All in one transaction or, where one fails, each in its own, so that only what is wrong fails."""
        try:
            return await self._transact(
                lambda transaction: [operation(transaction, items) for operation, items in groups],
                repeatable=repeatable,
            )
        except TransactionFailedError as failure:
            return [[failure.__cause__] * len(items) for _, items in groups]
        except Exception as failure:  # noqa: BLE001 - those who asked for the operation are told
            if len(groups) > 1:
                alone = [await self._together([group], repeatable=False) for group in groups]
                return [results for (results,) in alone]
            ((operation, items),) = groups
            if len(items) == 1 or not isinstance(failure, IntegrityError | DataError):
                return [[failure] * len(items)]
            # The database refuses a row, and only that one, which is in one of the halves.
            middle = len(items) // 2
            halves = [
                await self._together([(operation, half)], repeatable=repeatable)
                for half in (items[:middle], items[middle:])
            ]
            return [[answer for (answers,) in halves for answer in answers]]


def _give(answer: object, to: asyncio.Future[Any]) -> None:
    if to.cancelled():
        return
    if isinstance(answer, BaseException):
        to.set_exception(answer)
    else:
        to.set_result(answer)
