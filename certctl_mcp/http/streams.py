"""Ends open event streams, on shutdown or when clients must authenticate again; otherwise they would stay
open forever."""

from collections.abc import Awaitable, Callable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Streams:
    """The event streams that are open."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        """Set when the streams that are open now must end."""

    def end(self) -> None:
        """End the open streams. Their clients may open new ones."""
        ended, self.ended = self.ended, anyio.Event()
        ended.set()

    def end_for_good(self) -> None:
        """End all streams, including those that are opened from now on."""
        self.ended.set()


class EndStreams:
    """Middleware that ends GET responses, which are event streams, with the others that are open."""

    def __init__(self, app: ASGIApp, streams: Streams) -> None:
        self._app = app
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        response, ended = _Response(send), self._streams.ended
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await self._app(scope, receive, response.send)
                tasks.cancel_scope.cancel()

            tasks.start_soon(serve)
            await ended.wait()
            tasks.cancel_scope.cancel()
        await response.end()


class _Response:
    """Tracks how much of a response has been sent."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send = send
        self._started = False
        self._ended = False

    async def send(self, message: Message) -> None:
        # Set before sending: if sending is cancelled, the message must not be sent twice.
        self._started = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        if not self._started:
            await self.send({"type": "http.response.start", "status": 503, "headers": []})
        if not self._ended:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
