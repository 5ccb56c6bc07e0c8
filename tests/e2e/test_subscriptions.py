"""Two servers on one file: the client of one is notified of changes by the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ObjectReceiveStream
from mcp import Client, StdioServerParameters
from mcp.client.client import ConnectMode
from mcp_types import ResourceUpdatedNotification

from storage.database import Database
from storage.models import Notification
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.processes import forked

PATIENCE = 30.0
DEAD = "certctl://notifications/dead"


def server(environment: dict[str, str]) -> StdioServerParameters:
    program, *arguments = forked("certctl_mcp")
    return StdioServerParameters(command=program, args=arguments, env=environment)


@pytest.fixture
async def dead(environment: dict[str, str], clock: SettableClock) -> Notification:
    async with Database.open(environment["CERTCTL_DATABASE_URL"], clock=clock) as database:
        return await Queue(NotificationRepository(database), clock).dead()


@asynccontextmanager
async def notifications_of(
    environment: dict[str, str], mode: ConnectMode, *uris: str
) -> AsyncIterator[ObjectReceiveStream[str]]:
    """The update notifications for a client that has subscribed as in its protocol revision."""
    say, told = anyio.create_memory_object_stream[str](100)

    async def hear(message: object) -> None:
        # The frames of a listener's stream arrive here as well.
        if isinstance(message, ResourceUpdatedNotification):
            say.send_nowait(message.params.uri)

    async with say, told, Client(server(environment), mode=mode, message_handler=hear) as client:
        if mode == "legacy":
            for uri in uris:
                await client.session.subscribe_resource(uri)
            yield told
        else:
            async with client.listen(resource_subscriptions=uris):
                yield told


@pytest.mark.filterwarnings("ignore:resources/subscribe is removed")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_is_notified_of_a_change_by_another_server(
    environment: dict[str, str], dead: Notification, mode: ConnectMode
) -> None:
    mine = f"certctl://notifications/{dead.id}"
    with anyio.fail_after(PATIENCE):
        async with (
            Client(server(environment)) as other,
            notifications_of(environment, mode, DEAD, mine) as told,
        ):
            settled = await other.call_tool("mark_notification_read", {"id": dead.id})
            assert not settled.is_error
            assert {await told.receive(), await told.receive()} == {DEAD, mine}
