import asyncio
import gc
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests import postgresql
from tests.builders import Queue, SettableClock
from tests.bytecode import keep_compiled_modules
from tests.compiled_statements import share_compiled_statements
from tests.context_in_task import ContextInTask
from tests.databases import parametrize_as_marked
from tests.distribution import disable_reordering, spread_long_files, worker_count
from tests.postgresql import Server
from tests.ram_disk import keep_files_in_memory
from tests.shared_postgresql import Databases, run_directory, shared_server
from tests.tcp_proxy import SOON, TcpProxy, tcp_proxy


def pytest_configure(config: pytest.Config) -> None:
    keep_compiled_modules()
    share_compiled_statements()
    keep_files_in_memory()
    disable_reordering(config)


def pytest_xdist_auto_num_workers() -> int:
    return worker_count()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the garbage collector from scanning the million permanent objects that collecting creates."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    spread_long_files(items)


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
    """The URL of a new database of the test's kind, by default SQLite."""
    if getattr(request, "param", "sqlite") == "sqlite":
        # A module may override the path with a prepared file, which its tests need not name.
        return f"sqlite:///{request.getfixturevalue('database_path')}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and no rows."""
    path = tmp_path_factory.mktemp("migrated") / "notifications.db"

    async def create() -> None:
        async with Database.open(f"sqlite:///{path}"):
            pass

    asyncio.run(create())
    return path


@pytest.fixture
def fresh_url(database_url: str, migrated: Path) -> str:
    """The URL of a new database with the schema. Copying a migrated file takes a tenth of migrating."""
    kind, _, path = database_url.partition(":///")
    if kind == "sqlite" and not Path(path).exists():
        shutil.copy(migrated, path)
    return database_url


@pytest.fixture
async def database(fresh_url: str, clock: SettableClock) -> AsyncIterator[Database]:
    """A new database with the schema, open."""
    context = ContextInTask(Database.open(fresh_url, clock=clock))
    yield await context.enter()
    await context.exit()


@pytest.fixture
def repository(database: Database) -> NotificationRepository:
    return NotificationRepository(database)


@pytest.fixture
def queue(repository: NotificationRepository, clock: SettableClock) -> Queue:
    return Queue(repository, clock)


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = run_directory(tmp_path_factory.getbasetemp())
    with postgresql.skip_if_unavailable(), shared_server(directory) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: Server) -> Iterator[Databases]:
    databases = Databases(postgresql_server)
    yield databases
    databases.close()


@pytest.fixture
def empty_database(postgresql_server: Server) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database."""
    url = asyncio.run(postgresql.create_database(postgresql_server, "template0"))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> Iterator[str]:
    """The URL of a PostgreSQL database with the schema and no rows."""
    url = postgresql_databases.take()
    yield url
    postgresql_databases.give_back(url)


@pytest.fixture
async def proxy(postgresql_url: str) -> AsyncIterator[TcpProxy]:
    """A connection to a PostgreSQL database that the test can cut."""
    context = ContextInTask(tcp_proxy(postgresql_url))
    yield await context.enter()
    await context.exit()


@pytest.fixture
def patient_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets figures wait for the transactions of other tests, which run on the same server."""
    monkeypatch.setattr("storage.repository.ENDS_SOON", timedelta(minutes=1))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the timeouts for PostgreSQL."""
    monkeypatch.setattr("storage.engine.postgresql.backend.RESPONSE_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.connections.CHECK_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.listener.CHECK_TIMEOUT", SOON)
    monkeypatch.setattr("storage.engine.postgresql.url.CONNECT_TIMEOUT", SOON)
