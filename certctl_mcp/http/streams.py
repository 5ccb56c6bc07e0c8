"""What ends the event streams of clients with sessions? The server's leaving, or they would hold it up."""

from collections.abc import Awaitable, Callable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class EndingStreams:
    """Middleware that ends, when `leaving` is set, the answers that have no end of their own."""

    def __init__(self, app: ASGIApp, leaving: anyio.Event) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await self._app(scope, receive, answer.send)
                tasks.cancel_scope.cancel()

            tasks.start_soon(serve)
            await self._leaving.wait()
            tasks.cancel_scope.cancel()
        await answer.end()


class _Answer:
    """Knows what is missing of it."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send = send
        self._begun = False
        self._ended = False

    async def send(self, message: Message) -> None:
        # What has been begun to be sent counts as sent: it must not be sent twice.
        self._begun = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        if not self._begun:
            await self.send({"type": "http.response.start", "status": 503, "headers": []})
        if not self._ended:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
