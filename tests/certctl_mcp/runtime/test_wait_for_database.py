"""A worker that starts before its database waits for it, and for nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime import wait_for_database
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.wait_for_database import open_application_once_reachable
from storage.database import Database
from storage.errors import DiskFullError, StorageError
from tests.storage.raw_sql import locked
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.usefixtures("soon")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    monkeypatch.setattr(wait_for_database, "FIRST_PAUSE", timedelta(milliseconds=10))
    monkeypatch.setattr(Database, "open", partial(Database.open, busy_timeout=timedelta(milliseconds=10)))


class Warned(logging.Handler):
    """Calls a function after the given number of warnings about a retry."""

    def __init__(self, after: int, act: anyio.Event | ExitStack) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._after = after
        self._act = act

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == self._after:
            self._act.set() if isinstance(self._act, anyio.Event) else self._act.close()


def warned(monkeypatch: pytest.MonkeyPatch, after: int, act: anyio.Event | ExitStack) -> Warned:
    handler = Warned(after, act)
    monkeypatch.setattr(wait_for_database.logger, "handlers", [handler])
    return handler


async def test_a_worker_waits_for_a_server_that_is_not_up_yet(
    proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": proxy.url})
    proxy.cut()
    with ExitStack() as then:
        then.callback(proxy.heal)
        handler = warned(monkeypatch, 3, then)
        async with open_application_once_reachable(settings, anyio.Event()) as application:
            assert application is not None
            assert application.delivers
    assert all("can't be reached" in message for message in handler.messages)
    assert [message.rpartition("; ")[2] for message in handler.messages] == [
        f"trying again in {pause} s" for pause in (0.01, 0.02, 0.04)
    ]


async def test_a_worker_waits_for_a_locked_file(
    database_url: str, database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    with ExitStack() as lock:
        lock.enter_context(locked(database_path))
        warned(monkeypatch, 2, lock)
        async with open_application_once_reachable(settings, anyio.Event()) as application:
            assert application is not None


async def test_a_worker_waits_for_space_on_a_full_disk(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    @asynccontextmanager
    async def full_at_first(settings: Settings) -> AsyncIterator[Application]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DiskFullError("the disk is full")
        async with open_application(settings) as application:
            yield application

    monkeypatch.setattr(wait_for_database, "open_application", full_at_first)
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": database_url})
    async with open_application_once_reachable(settings, anyio.Event()) as application:
        assert application is not None
    assert tries == 3


async def test_a_worker_stops_waiting_when_it_is_stopped(
    proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": proxy.url})
    proxy.cut()
    stop = anyio.Event()
    warned(monkeypatch, 2, stop)
    async with open_application_once_reachable(settings, stop) as application:
        assert application is None


async def opened(url: str) -> bool:
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": url})
    async with asyncio.timeout(20), open_application_once_reachable(settings, anyio.Event()):
        return True


@pytest.mark.parametrize(
    "url", ["sqlite:////dev/null/x.db", "mysql://db.example.com/queue", "postgresql://host:port/queue"]
)
async def test_a_wrong_url_is_an_error_at_once(url: str) -> None:
    with pytest.raises(StorageError):
        await opened(url)


async def test_a_missing_database_is_an_error_at_once(postgresql_url: str) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        await opened(f"{postgresql_url}_missing")
