import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """A context manager that is entered and left in a task of its own.

    Fixtures and state machines enter and leave it in different tasks, which a task group doesn't allow.
    """

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self._context = context
        self._leave = asyncio.Event()

    async def enter(self) -> T:
        entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(entered))
        return await entered

    async def leave(self) -> None:
        self._leave.set()
        await self._task

    async def _hold(self, entered: asyncio.Future[T]) -> None:
        try:
            async with self._context as value:
                entered.set_result(value)
                await self._leave.wait()
        except Exception as failure:
            if entered.done():
                raise
            entered.set_exception(failure)
