import asyncio
import gc
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import Queue, SettableClock
from tests.bytecode import keep_compiled_modules
from tests.compiled_statements import compile_once
from tests.databases import parametrize_as_marked
from tests.holding import Held
from tests.line import SOON, Line, line_to
from tests.memory import keep_files_in_memory
from tests.postgresql import Server
from tests.scheduling import keep_order, order, workers
from tests.shared_postgresql import Databases, run_directory, shared_server


def pytest_configure(config: pytest.Config) -> None:
    keep_compiled_modules()
    compile_once()
    keep_files_in_memory()
    keep_order(config)


def pytest_xdist_auto_num_workers() -> int:
    return workers()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting makes a million objects, all of which stay: they are not searched for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order(items)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_as_marked(metafunc)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "notifications.db"


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Of a new database of the kind that the test is run for; else SQLite."""
    if getattr(request, "param", "sqlite") == "sqlite":
        # Where a file has been made ready, which a test need not name, it is that one.
        return f"sqlite:///{request.getfixturevalue('database_path')}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


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
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = run_directory(tmp_path_factory.getbasetemp())
    with postgresql.skipped_where_there_is_none(), shared_server(directory) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: Server) -> Iterator[Databases]:
    databases = Databases(postgresql_server)
    yield databases
    databases.close()


@pytest.fixture
def empty_database(postgresql_server: Server) -> Iterator[str]:
    """The URL of a PostgreSQL database that nobody has used."""
    url = asyncio.run(postgresql.create_database(postgresql_server, "template0"))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> Iterator[str]:
    """The URL of an empty database that has the schema."""
    url = postgresql_databases.take()
    yield url
    postgresql_databases.give_back(url)


@pytest.fixture
async def line(postgresql_url: str) -> AsyncIterator[Line]:
    """To a new database on PostgreSQL."""
    held = Held(line_to(postgresql_url))
    yield await held.enter()
    await held.leave()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not waited for as long as it deserves."""
    monkeypatch.setattr("storage.engine.postgresql.backend.RESPONSE_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.connections.CHECK_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.listener.CHECK_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.url.CONNECT_TIMEOUT", SOON)
