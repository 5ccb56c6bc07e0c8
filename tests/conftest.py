import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.notifications import NotificationRepository
from tests import postgresql
from tests.builders import Queue, SettableClock
from tests.databases import parametrize_as_marked
from tests.holding import Held
from tests.postgresql import NoServerError, Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_as_marked(metafunc)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "notifications.db"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    try:
        with postgresql.serving() as server:
            asyncio.run(postgresql.prepare(server))
            yield server
    except NoServerError as failure:
        # Where everything has to be proven, what could not be tried is a failure.
        if os.environ.get("CI"):
            raise
        pytest.skip(str(failure))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a new database of the kind that the test is run for; else SQLite."""
    if getattr(request, "param", "sqlite") == "sqlite":
        path = tmp_path / "notifications.db"
        if "database_path" in request.fixturenames:
            path = request.getfixturevalue("database_path")
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgresql_server")
    url = asyncio.run(postgresql.create_database(server))
    yield url
    asyncio.run(postgresql.drop_database(server, url))


@pytest.fixture
async def database(database_url: str, clock: SettableClock) -> AsyncIterator[Database]:
    """A fresh one, opened."""
    held = Held(Database.open(database_url, clock=clock))
    yield await held.enter()
    await held.leave()


@pytest.fixture
def repository(database: Database) -> NotificationRepository:
    return NotificationRepository(database)


@pytest.fixture
def queue(repository: NotificationRepository, clock: SettableClock) -> Queue:
    return Queue(repository, clock)
