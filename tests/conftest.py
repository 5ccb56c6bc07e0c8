import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.notifications import NotificationRepository
from tests import postgresql
from tests.builders import Queue, SettableClock
from tests.holding import Held
from tests.postgresql import Server


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "notifications.db"


@pytest.fixture
def database_url(database_path: Path) -> str:
    return f"sqlite:///{database_path}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that holds the schema, and nothing else."""
    path = tmp_path_factory.mktemp("migrated") / "notifications.db"

    async def create() -> None:
        async with Database.open(f"sqlite:///{path}"):
            pass

    asyncio.run(create())
    return path


@pytest.fixture
def fresh_url(database_url: str, migrated: Path) -> str:
    """Of one that has the schema. To migrate each anew takes ten times as long as all else about it."""
    kind, _, path = database_url.partition(":///")
    if kind == "sqlite" and not Path(path).exists():
        shutil.copy(migrated, path)
    return database_url


@pytest.fixture
async def database(fresh_url: str, clock: SettableClock) -> AsyncIterator[Database]:
    """A fresh one, opened."""
    held = Held(Database.open(fresh_url, clock=clock))
    yield await held.enter()
    await held.leave()


@pytest.fixture
def repository(database: Database) -> NotificationRepository:
    return NotificationRepository(database)


@pytest.fixture
def queue(repository: NotificationRepository, clock: SettableClock) -> Queue:
    return Queue(repository, clock)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    with postgresql.skipped_where_there_is_none(), postgresql.serving() as server:
        asyncio.run(postgresql.prepare(server))
        yield server


@pytest.fixture
def empty_database(postgresql_server: Server) -> Iterator[str]:
    """The URL of a PostgreSQL database that nobody has used."""
    url = asyncio.run(postgresql.create_database(postgresql_server, "template0"))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """Of a new database that is ready, for what only PostgreSQL does."""
    url = asyncio.run(postgresql.create_database(postgresql_server))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))
