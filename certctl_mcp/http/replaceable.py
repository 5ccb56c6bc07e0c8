"""An ASGI application that can be replaced while it serves."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass
class Replaceable:
    """Passes each request to `app`. A request in progress stays with the application where it began."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
