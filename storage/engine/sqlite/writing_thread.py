"""The thread that writes: it makes one call after the other, and the event loop waits for each.

A general thread pool would cost each short transaction more than its hand-over: limits, contexts, scopes.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


class WritingThread:
    """Started by the first call."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, function: Callable[[], Result]) -> Result:
        """What the function returns or raises. If the caller is cancelled, the function runs all the same."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def call() -> None:
            try:
                end = partial(_end, answer, function())
            except BaseException as error:  # noqa: BLE001 - raised in the caller
                end = partial(_fail, answer, error)
            # The loop of a caller that was cancelled may be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end)

        self._calls.put(call)
        if self._thread is None:
            # It must not keep the process from exiting: what is not committed by then has not been promised.
            self._thread = Thread(target=self._work, name="SQLite writer", daemon=True)
            self._thread.start()
        return await answer

    def stop(self) -> None:
        """End the thread after the calls made so far."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            # Between calls the thread must not keep what the last one worked with.
            del call


def _end(answer: "asyncio.Future[Result]", result: Result) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[Result]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
