"""Contexts that fixtures hold open between set-up and teardown."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class ContextInTask(Generic[T]):
    """An async context manager that is entered and exited in a task of its own.

    Fixtures and state machines are set up and torn down in different tasks, which a task group doesn't allow.
    """

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self._context = context
        self._exit = asyncio.Event()

    async def enter(self) -> T:
        entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(entered))
        return await entered

    async def exit(self) -> None:
        self._exit.set()
        await self._task

    async def _run(self, entered: asyncio.Future[T]) -> None:
        try:
            async with self._context as value:
                entered.set_result(value)
                await self._exit.wait()
        except Exception as failure:
            if entered.done():
                raise
            entered.set_exception(failure)
