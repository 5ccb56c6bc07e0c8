"""All that a server sends, whatever it is: answers, errors, questions, progress and notifications."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import Client
from mcp.client._memory import InMemoryTransport
from mcp.client._transport import TransportStreams
from mcp.client.client import ConnectMode
from mcp.client.session import ClientRequestContext
from mcp.shared.message import SessionMessage
from mcp_types import ElicitRequestParams, ElicitResult

from certctl_mcp.mcp_server.server import NotificationServer
from tests.certctl_mcp.prompt_injection import Json


@dataclass
class Overheard:
    """A client, and the messages that came to it so far."""

    client: Client
    frames: list[Json] = field(default_factory=list)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Makes the server report; the report is among the frames."""


@asynccontextmanager
async def overheard(server: NotificationServer, mode: ConnectMode, *, asks: bool) -> AsyncIterator[Overheard]:
    """Connected over streams. `asks`: its user can be asked, and agrees to everything."""
    frames: list[Json] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"confirm": True})

    client = Client(
        _listening(server, frames),
        mode=mode,
        elicitation_callback=agree if asks else None,
        cache=None,
    )
    async with client:
        yield Overheard(client, frames)


@asynccontextmanager
async def _listening(server: NotificationServer, frames: list[Json]) -> AsyncIterator[TransportStreams]:
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](1000)

    async def pass_on(read: Any) -> None:
        async with send:
            async for message in read:
                frames.append(message.message.model_dump(mode="json", by_alias=True, exclude_none=True))
                await send.send(message)

    async with InMemoryTransport(server) as (read, write), anyio.create_task_group() as tasks:
        tasks.start_soon(pass_on, read)
        yield receive, write
        tasks.cancel_scope.cancel()
