import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from certctl_mcp.notifiers.http.client import HttpClient
from tests.builders import SettableClock
from tests.certctl_mcp.notifiers.receiver import Receiver, serve


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with serve() as receiver:
        yield receiver


@pytest.fixture
async def client(clock: SettableClock) -> AsyncIterator[HttpClient]:
    client = HttpClient(
        connections=10,
        connect_timeout=timedelta(seconds=5),
        send_timeout=timedelta(seconds=10),
        clock=clock,
    )
    yield client
    await client.aclose()


@pytest.fixture
def closed_port() -> int:
    """A loopback port with no listener."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
