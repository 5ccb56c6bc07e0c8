"""A client that records everything a server sends: results, errors, elicitations, progress, notifications."""

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
class RecordingClient:
    """A client and the messages that it has received so far."""

    client: Client
    frames: list[Json] = field(default_factory=list)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """A callback that makes the server report progress, which then is among the frames."""


@asynccontextmanager
async def recording_client(
    server: NotificationServer, mode: ConnectMode, *, asks: bool
) -> AsyncIterator[RecordingClient]:
    """A client connected over streams. `asks`: it supports elicitation, and its user agrees to everything."""
    frames: list[Json] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"confirm": True})

    client = Client(
        _recorded_streams(server, frames),
        mode=mode,
        elicitation_callback=agree if asks else None,
        cache=None,
    )
    async with client:
        yield RecordingClient(client, frames)


@asynccontextmanager
async def _recorded_streams(
    server: NotificationServer, frames: list[Json]
) -> AsyncIterator[TransportStreams]:
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](1000)

    async def record(read: Any) -> None:
        async with send:
            async for message in read:
                frames.append(message.message.model_dump(mode="json", by_alias=True, exclude_none=True))
                await send.send(message)

    async with InMemoryTransport(server) as (read, write), anyio.create_task_group() as tasks:
        tasks.start_soon(record, read)
        yield receive, write
        tasks.cancel_scope.cancel()
