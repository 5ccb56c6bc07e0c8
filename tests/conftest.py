import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.notifications import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.holding import Held


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
def schema(database_path: Path, migrated: Path) -> None:
    """The schema is there. To migrate each file anew takes ten times as long as all else about opening it."""
    if not database_path.exists():
        shutil.copy(migrated, database_path)


@pytest.fixture
async def database(database_url: str, schema: None, clock: SettableClock) -> AsyncIterator[Database]:
    """A fresh SQLite file, opened."""
    held = Held(Database.open(database_url, clock=clock))
    yield await held.enter()
    await held.leave()


@pytest.fixture
def repository(database: Database) -> NotificationRepository:
    return NotificationRepository(database)


@pytest.fixture
def queue(repository: NotificationRepository, clock: SettableClock) -> Queue:
    return Queue(repository, clock)
