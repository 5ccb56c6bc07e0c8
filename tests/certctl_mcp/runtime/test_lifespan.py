"""The application opens while the server already answers, retries if that fails, and closes in order."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.lifespan import opening
from storage.errors import MissingQueueError, StorageError
from storage.maintenance.queue_state import queue_state
from storage.models import Attempt
from tests.builders import new_notification


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load_settings(
        None, {"CERTCTL_DATABASE_URL": database_url, "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    )


class Fragile:
    """Opens the application, unless it is broken."""

    def __init__(self, broken: bool) -> None:
        self.broken = broken
        self.tries = 0
        self.events: list[str] = []
        self.opened = anyio.Event()

    @asynccontextmanager
    async def __call__(self, settings: Settings) -> AsyncIterator[Application]:
        self.tries += 1
        if self.broken:
            raise StorageError("the database is away")
        async with open_application(settings) as application:
            self.events.append("open")
            self.opened.set()
            yield application
        self.events.append("closed")


def test_a_server_is_built_without_importing_what_only_the_database_needs() -> None:
    program = (
        "import sys, certctl_mcp.mcp_server.server\n"
        "print(*sys.modules.keys() & {'sqlalchemy', 'alembic', 'sqlite3', 'aiohttp', 'aiosmtplib'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


async def test_an_early_request_waits_until_the_application_is_open(settings: Settings) -> None:
    async with opening(settings) as opened:
        with anyio.fail_after(20):
            application = await opened.application()
        assert [channel.name for channel in await application.notifications.channels.health()] == ["Webhook"]


async def test_the_retry_loop_of_the_application_runs(settings: Settings) -> None:
    async with opening(settings, open_application) as opened:
        application = await opened.application()
        accepted = await application.notifications.send(new_notification(), actor=None)
        with anyio.fail_after(20):
            attempts: tuple[Attempt, ...] = ()
            while not attempts:
                await anyio.sleep(0.02)
                _, attempts = await application.notifications.get(accepted.notification.id)


async def test_the_application_is_closed_in_order(settings: Settings) -> None:
    fragile = Fragile(broken=False)
    async with opening(settings, fragile) as opened:
        await opened.application()
        assert fragile.events == ["open"]
    assert fragile.events == ["open", "closed"]
    with pytest.raises(StorageError):
        await opened.application()


async def test_a_server_that_exits_at_once_does_not_wait_for_the_application(settings: Settings) -> None:
    @asynccontextmanager
    async def hanging(_: Settings) -> AsyncIterator[Application]:
        await anyio.sleep_forever()
        yield  # type: ignore[misc]

    with anyio.fail_after(20):
        async with opening(settings, hanging):
            pass


async def test_while_the_application_cannot_be_opened_every_request_fails_and_retries(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    fragile = Fragile(broken=True)
    with caplog.at_level(logging.WARNING, "certctl_mcp.runtime.lifespan"):
        async with opening(settings, fragile) as opened:
            with pytest.raises(StorageError, match="away"):
                await opened.application()
            with anyio.fail_after(0.9), pytest.raises(StorageError, match="away"):
                await opened.application()
            assert fragile.tries == 2
            fragile.broken = False
            with anyio.fail_after(20):
                await opened.application()
    assert caplog.messages[0] == "the database is away; trying again in 1 s"


async def test_a_recovered_database_is_opened_without_a_request(settings: Settings) -> None:
    fragile = Fragile(broken=True)
    async with opening(settings, fragile) as opened:
        with pytest.raises(StorageError):
            await opened.application()
        fragile.broken = False
        with anyio.fail_after(20):
            await fragile.opened.wait()


async def test_a_read_only_server_creates_no_queue(tmp_path: Path, empty_database: str) -> None:
    for url in (f"sqlite:///{tmp_path}/data/queue.db", empty_database):
        settings = load_settings(None, {"CERTCTL_DATABASE_URL": url}, read_only=True)
        with pytest.raises(MissingQueueError, match=r"no queue at .*; nothing was created"):
            async with opening(settings):
                await anyio.sleep_forever()
    assert not (tmp_path / "data").exists()
    assert not (await queue_state(empty_database)).has_queue


async def test_a_channel_that_cannot_be_built_ends_the_server(settings: Settings) -> None:
    @asynccontextmanager
    async def misconfigured(_: Settings) -> AsyncIterator[Application]:
        raise SettingsError(["channels.Pager: a package is missing"])
        yield

    with pytest.raises(SettingsError):
        async with opening(settings, misconfigured):
            await anyio.sleep_forever()
