"""How do many callers write durably at the speed of one? Group commit.

One connection writes for the whole process. Whatever waits when a transaction ends goes into the next one
together, so the cost of a durable commit is shared; each caller returns once its own change is committed.
A transaction runs in a worker thread from beginning to end: one change of threads, however many statements.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage.errors import NotificationError, StorageError

Item = TypeVar("Item")
Result = TypeVar("Result")

Operation = Callable[[Connection, Sequence[Item]], Sequence[Result | NotificationError]]
"""Applies a change for every item and answers each in its place: with a result, or with the error that
only this item is to get. It runs inside a transaction and must not end it."""

_Group = tuple[Operation[Any, Any], list[object]]

LARGEST_BATCH = 500
"""Items a transaction takes at most, which bounds how long it keeps other processes waiting."""


@dataclass(slots=True, eq=False)
class _Waiting:
    operation: Operation[Any, Any]
    item: object
    answer: asyncio.Future[Any]


class Writer:
    """The only way to change the database. `run` must be running for `write` to return."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[_Waiting] = []
        self._work = asyncio.Event()
        self._closing = False

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Apply `operation` to `item` and return once the change is durable.

        Items waiting for the same operation reach it together, in the order they came. A caller cancelled
        while it waits can't know whether its change was made.

        Raises:
            NotificationError: what the operation answered for this item; nothing was changed for it.
            SQLAlchemyError: the transaction failed; nothing of it was changed.
            StorageError: the writer was closed.
        """
        if self._closing:
            raise StorageError("the database was closed; nothing was written")
        waiting = _Waiting(operation, item, asyncio.get_running_loop().create_future())
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
                answers = await anyio.to_thread.run_sync(self._commit, wanted)
                for waiting, answer in zip(wanted, answers, strict=True):
                    _give(answer, waiting.answer)

    def close(self) -> None:
        """Let `run` return after what waits now."""
        self._closing = True
        self._work.set()

    def _commit(self, batch: list[_Waiting]) -> list[object]:
        """The answers in the order of the batch; an exception answers as an error."""
        places: dict[Operation[Any, Any], list[int]] = {}
        for place, waiting in enumerate(batch):
            places.setdefault(waiting.operation, []).append(place)
        groups = [(operation, [batch[place].item for place in group]) for operation, group in places.items()]
        results = self._together(groups)
        answers: list[object] = [None] * len(batch)
        for group, answered in zip(places.values(), results, strict=True):
            for place, answer in zip(group, answered, strict=True):
                answers[place] = answer
        return answers

    def _together(self, groups: list[_Group]) -> list[Sequence[object]]:
        """All operations in one transaction or, where one fails, each in its own, so that only it fails."""
        try:
            transaction = self._connection.begin()
        except DBAPIError as failure:
            # No operation is at fault: trying each by itself would wait for the same lock again and again.
            return [[failure] * len(items) for _, items in groups]
        try:
            with transaction:
                return [operation(self._connection, items) for operation, items in groups]
        except Exception as failure:  # noqa: BLE001 - those who asked for the operation are told
            if len(groups) == 1:
                return [[failure] * len(items) for _, items in groups]
            return [results for group in groups for results in self._together([group])]


def _give(answer: object, to: asyncio.Future[Any]) -> None:
    if to.cancelled():
        return
    if isinstance(answer, Exception):
        to.set_exception(answer)
    else:
        to.set_result(answer)
