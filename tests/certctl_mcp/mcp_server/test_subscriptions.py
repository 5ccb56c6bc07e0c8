"""A subscribed client is notified of a change, whoever made it, under the URI that it used."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from mcp import Client, ClientSession, MCPError
from mcp.client.subscriptions import ResourceUpdated, Subscription
from mcp.server.runner import serve_loop
from mcp.shared.memory import create_client_server_memory_streams
from mcp_types import INVALID_PARAMS, ResourceUpdatedNotification

from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.errors import RESOURCE_NOT_FOUND
from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.server import build_server
from certctl_mcp.runtime.lifespan import opening
from storage.database import Database
from storage.engine.sqlite import data_version
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.certctl_mcp.conftest import LEGACY, MODERN, Connect
from tests.storage.raw_sql import connected

pytestmark = pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")

PATIENCE = 20.0

DEAD = "certctl://notifications/dead"
DASHBOARD = "certctl://dashboard"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_version, "POLL_INTERVAL", timedelta(milliseconds=20))
    monkeypatch.setattr("certctl_mcp.runtime.watch.LEAST_PAUSE", timedelta(milliseconds=10))


@dataclass
class Ear:
    """Records the update notifications of a server that uses an older protocol revision."""

    told: list[str] = field(default_factory=list)
    _more: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, message: object) -> None:
        assert isinstance(message, ResourceUpdatedNotification)
        self.told.append(message.params.uri)
        self._more.set()
        self._more = anyio.Event()

    async def until_told(self, count: int) -> None:
        with anyio.fail_after(PATIENCE):
            while len(self.told) < count:
                await self._more.wait()


async def subscribe(client: Client, uri: str) -> None:
    await client.subscribe_resource(uri)


async def unsubscribe(client: Client, uri: str) -> None:
    await client.unsubscribe_resource(uri)


async def next_of(subscription: Subscription) -> str:
    with anyio.fail_after(PATIENCE):
        event = await anext(aiter(subscription))
    assert isinstance(event, ResourceUpdated)
    return event.uri


Elsewhere = Callable[[], AbstractAsyncContextManager[Queue]]


@pytest.fixture
def elsewhere(database_url: str, clock: SettableClock) -> Elsewhere:
    """The queue as in another process: through a separate connection to the same database."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Queue]:
        async with Database.open(database_url, clock=clock) as other:
            yield Queue(NotificationRepository(other), clock)

    return opened


@pytest.mark.both_databases
async def test_a_session_is_notified_of_a_change_by_another_process(
    connect: Connect, queue: Queue, elsewhere: Elsewhere
) -> None:
    dead, ear = await queue.dead(), Ear()
    async with elsewhere() as theirs, connect(LEGACY, ear) as client:
        await subscribe(client, DEAD)
        await theirs.repository.requeue(dead.id)
        await ear.until_told(1)
        assert ear.told == [DEAD]


@pytest.mark.both_databases
async def test_a_listener_is_notified_of_a_change_by_another_process(
    connect: Connect, queue: Queue, elsewhere: Elsewhere
) -> None:
    dead = await queue.dead()
    async with (
        elsewhere() as theirs,
        connect(MODERN) as client,
        client.listen(resource_subscriptions=[DEAD]) as told,
    ):
        await theirs.repository.requeue(dead.id)
        assert await next_of(told) == DEAD


async def test_a_change_by_a_tool_of_the_same_server_is_announced(connect: Connect, queue: Queue) -> None:
    dead = await queue.dead()
    uri = f"certctl://notifications/{dead.id}"
    async with connect(MODERN) as client, client.listen(resource_subscriptions=[uri]) as told:
        await client.call_tool("mark_notification_read", {"id": dead.id})
        assert await next_of(told) == uri


async def test_a_session_is_notified_only_of_resources_that_differ(connect: Connect, queue: Queue) -> None:
    dead, other, ear = await queue.dead(), await queue.dead(), Ear()
    mine = f"certctl://notifications/{dead.id}"
    async with connect(LEGACY, ear) as client:
        for uri in (mine, DASHBOARD):
            await subscribe(client, uri)
        await queue.repository.mark_read(other.id)
        await ear.until_told(1)
        await queue.repository.mark_read(dead.id)
        await ear.until_told(3)
        assert ear.told[0] == DASHBOARD
        assert sorted(ear.told[1:]) == sorted([mine, DASHBOARD])


async def test_the_passage_of_time_is_not_a_change(
    connect: Connect, queue: Queue, clock: SettableClock, database_path: Path
) -> None:
    failed, other, ear = await queue.failed(), await queue.dead(), Ear()
    mine, theirs = (f"certctl://notifications/{one.id}" for one in (failed, other))
    async with connect(LEGACY, ear) as client:
        for uri in (mine, DASHBOARD, theirs):
            await subscribe(client, uri)
        clock.advance(timedelta(hours=1))
        with connected(database_path) as foreign:
            foreign.execute("UPDATE notification_events SET certificate_id = 'c' WHERE id = ?", [other.id])
        await ear.until_told(1)
        assert ear.told == [theirs]
        await queue.repository.mark_read(failed.id)
        await ear.until_told(3)
        assert ear.told[1:] == [mine, DASHBOARD]


async def test_after_unsubscribing_a_client_gets_no_more_notifications(
    connect: Connect, queue: Queue
) -> None:
    first, second, ear = await queue.dead(), await queue.dead(), Ear()
    async with connect(LEGACY, ear) as client:
        await subscribe(client, "certctl://notifications/%64ead")
        await subscribe(client, DASHBOARD)
        await unsubscribe(client, DEAD)
        for count, one in enumerate((first, second), 1):
            await queue.repository.mark_read(one.id)
            await ear.until_told(count)
        assert ear.told == [DASHBOARD, DASHBOARD]


async def test_unsubscribing_without_a_subscription_has_no_effect(connect: Connect) -> None:
    async with connect(LEGACY) as client:
        await unsubscribe(client, DEAD)
        await unsubscribe(client, "certctl://notifications/long-gone")


async def test_a_repeated_subscription_is_notified_once_and_each_spelling_separately(
    connect: Connect, queue: Queue
) -> None:
    dead, ear = await queue.dead(), Ear()
    odd = "CERTCTL://notifications/%64ead"
    async with connect(LEGACY, ear) as client:
        for uri in (DEAD, DEAD, odd, DASHBOARD):
            await subscribe(client, uri)
        await queue.repository.mark_read(dead.id)
        await ear.until_told(3)
        await queue.pending()
        await ear.until_told(4)
        assert sorted(ear.told) == sorted([DEAD, odd, DASHBOARD, DASHBOARD])


async def test_a_listener_is_notified_under_the_uri_it_used(connect: Connect, queue: Queue) -> None:
    odd = "CERTCTL://notifications/%64ead"
    async with connect(MODERN) as client, client.listen(resource_subscriptions=[odd]) as told:
        await queue.dead()
        assert await next_of(told) == odd


async def test_a_purge_is_a_change(connect: Connect, queue: Queue, database_path: Path) -> None:
    read = await queue.read()
    uri = f"certctl://notifications/{read.id}"
    async with connect(MODERN) as client, client.listen(resource_subscriptions=[uri]) as told:
        with connected(database_path) as other:
            other.execute("DELETE FROM notification_events WHERE id = ?", [read.id])
        assert await next_of(told) == uri


async def test_changes_of_a_filtered_list_are_announced(connect: Connect, queue: Queue) -> None:
    uri = "certctl://notifications?status=dead&channel=Slack"
    async with connect(MODERN) as client, client.listen(resource_subscriptions=[uri, DEAD]) as told:
        await queue.dead(channel="Webhook")
        assert await next_of(told) == DEAD
        await queue.dead(channel="Slack")
        assert {await next_of(told), await next_of(told)} == {uri, DEAD}


async def test_only_resource_subscriptions_are_acknowledged(connect: Connect) -> None:
    async with (
        connect(MODERN) as client,
        client.listen(
            resource_subscriptions=[DEAD],
            tools_list_changed=True,
            prompts_list_changed=True,
            resources_list_changed=True,
        ) as told,
    ):
        assert told.honored.model_dump(exclude_none=True) == {"resource_subscriptions": [DEAD]}


@pytest.mark.parametrize(
    "uri", ["certctl://notifications/notif-0", "certctl://dashbord", "file:///etc/passwd", ""]
)
async def test_subscribing_to_a_missing_resource_is_refused(connect: Connect, uri: str) -> None:
    async with connect(LEGACY) as client:
        with pytest.raises(MCPError) as refused:
            await subscribe(client, uri)
        assert refused.value.error.code == RESOURCE_NOT_FOUND
    async with connect(MODERN) as client:
        with pytest.raises(MCPError) as refused:
            async with client.listen(resource_subscriptions=[DEAD, uri]):
                pass
        assert refused.value.error.code == INVALID_PARAMS
        # The refused subscription left nothing behind that would block the next one.
        async with client.listen(resource_subscriptions=[DEAD]):
            pass


async def test_a_subscription_ends_with_its_stream_or_session(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_SUBSCRIPTIONS", 1)
    async with connect(MODERN) as client:
        for _ in range(2):
            async with client.listen(resource_subscriptions=[DEAD]):
                with pytest.raises(MCPError, match="end some first"):
                    async with client.listen(resource_subscriptions=[DASHBOARD]):
                        pass
    async with connect(LEGACY) as client:
        for _ in range(2):
            await subscribe(client, DEAD)
            await unsubscribe(client, DEAD)


async def test_a_session_that_ends_leaves_no_subscription(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.runtime.watch.MAX_SUBSCRIPTIONS", 1)
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    server = lowlevel_server(build_server(settings))
    async with opening(settings) as opened:
        for _ in range(2):
            # One of several sessions in the same process, as over HTTP.
            async with (
                create_client_server_memory_streams() as (client, (to_server, from_server)),
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(partial(serve_loop, server, to_server, from_server, lifespan_state=opened))
                async with ClientSession(*client) as session:
                    await session.initialize()
                    await session.subscribe_resource(DASHBOARD)
                for stream in client:
                    await stream.aclose()
