"""How do many callers write durably at the speed of one? Group commit.

One connection writes for the whole process. Whatever waits when a transaction ends goes into the next one
together, so the cost of a durable commit is shared; each caller returns once its own change is committed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.errors import NotificationError

Item = TypeVar("Item")
Result = TypeVar("Result")

Operation = Callable[[AsyncConnection, Sequence[Item]], Awaitable[Sequence[Result | NotificationError]]]
"""Applies a change for every item and answers each in its place: with a result, or with the error that
only this item is to get. It runs inside a transaction and must not end it."""

LARGEST_BATCH = 500
"""Items a transaction takes at most, which bounds how long it keeps other processes waiting."""


@dataclass(slots=True, eq=False)
class _Waiting:
    operation: Operation[Any, Any]
    item: object
    answer: asyncio.Future[Any]


class Writer:
    """The only way to change the database. `run` must be running for `write` to return."""

    def __init__(self, connection: AsyncConnection) -> None:
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
        """
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
                await self._commit([waiting for waiting in batch if not waiting.answer.cancelled()])

    def close(self) -> None:
        """Let `run` return after what waits now."""
        self._closing = True
        self._work.set()

    async def _commit(self, batch: list[_Waiting]) -> None:
        groups: dict[Operation[Any, Any], list[_Waiting]] = {}
        for waiting in batch:
            groups.setdefault(waiting.operation, []).append(waiting)
        answers: list[tuple[_Waiting, object]] = []
        try:
            async with self._connection.begin():
                for operation, group in groups.items():
                    answers += await self._apply(operation, group, alone=len(groups) == 1)
        except Exception as failure:  # noqa: BLE001 - every caller of the batch gets it; the writer goes on
            answers = [(waiting, failure) for waiting in batch]
        for waiting, answer in answers:
            if waiting.answer.cancelled():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)

    async def _apply(
        self, operation: Operation[Any, Any], group: list[_Waiting], *, alone: bool
    ) -> list[tuple[_Waiting, object]]:
        items = [waiting.item for waiting in group]
        if alone:
            return list(zip(group, await operation(self._connection, items), strict=True))
        # A savepoint keeps the failure of one operation from undoing the others of the batch.
        savepoint = await self._connection.begin_nested()
        try:
            results = await operation(self._connection, items)
        except Exception as failure:  # noqa: BLE001 - handed to this operation's callers
            await savepoint.rollback()
            return [(waiting, failure) for waiting in group]
        await savepoint.commit()
        return list(zip(group, results, strict=True))
