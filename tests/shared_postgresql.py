"""One PostgreSQL server for all workers of a run, and databases that tests reuse.

Starting a server takes seconds. Creating a database takes ten times as long as emptying one, so a database is
reused if only a few rows have changed in it.
"""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import asyncpg

from storage.schema.migrations import VERSION_TABLE
from tests import postgresql
from tests.postgresql import Server
from tests.ram_disk import MEMORY

_CATALOGS = ("pg_class", "pg_attribute", "pg_index", "pg_trigger", "pg_proc", "pg_namespace", "pg_statistic")
_MARK = " UNION ALL ".join(
    f"SELECT '{catalog}', count(*), max(xmin::text::bigint) FROM {catalog}" for catalog in _CATALOGS
)
"""A query whose result differs after any statement that changes more than rows."""

_LARGE = 1 << 20

_DISCONNECT_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_SIZES = """
SELECT quote_ident(tablename) AS name, pg_total_relation_size(quote_ident(tablename)) AS size
FROM pg_tables WHERE schemaname = 'public' AND tablename <> $1
"""


@contextmanager
def shared_server(directory: Path) -> Iterator[Server]:
    """The server shared by all processes with the same directory: the first starts it, and the last stops it.

    Raises: NoServerError.
    """
    postgresql.programs()
    with _shared_state(directory) as state:
        if not state.users:
            state.place = mkdtemp(prefix="certctl-pg-", dir=MEMORY)
            state.port = postgresql.free_port()
            server = Server(Path(state.place), state.port)
            server.initialise()
            server.start()
            asyncio.run(postgresql.prepare(server))
        state.users += 1
    try:
        yield Server(Path(state.place), state.port)
    finally:
        with _shared_state(directory) as state:
            state.users -= 1
            if not state.users:
                Server(Path(state.place), state.port).stop()
                shutil.rmtree(state.place, ignore_errors=True)


@dataclass
class _State:
    users: int = 0
    place: str = ""
    port: int = 0


@contextmanager
def _shared_state(directory: Path) -> Iterator[_State]:
    """The state shared by the processes, locked against changes by others."""
    with (directory / "postgresql.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        written = file.read()
        state = _State(**json.loads(written)) if written else _State()
        yield state
        file.truncate(0)
        file.write(json.dumps(vars(state)))


@dataclass(frozen=True)
class _Prepared:
    url: str
    mark: list[asyncpg.Record]
    connection: asyncpg.Connection
    """Kept open, because the first statements of a new session take as long as a short test."""


class Databases:
    """A pool of databases with the schema and no rows."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._free: list[_Prepared] = []
        self._taken: dict[str, _Prepared] = {}

    def take(self) -> str:
        """The URL of a database that nothing else uses."""
        prepared = self._free.pop() if self._free else self._runner.run(self._create())
        self._taken[prepared.url] = prepared
        return prepared.url

    def give_back(self, url: str) -> None:
        """Close its other connections, and keep it for reuse if only a few rows have changed in it."""
        prepared = self._taken.pop(url)
        if self._runner.run(_empty(prepared)):
            self._free.append(prepared)
        else:
            self._runner.run(self._drop(prepared))

    def close(self) -> None:
        for prepared in self._free:
            prepared.connection.terminate()
        self._runner.close()

    async def _create(self) -> _Prepared:
        url = await postgresql.create_database(self._server)
        # Without triggers, which would announce the deletions and check references.
        connection = await asyncpg.connect(url, server_settings={"session_replication_role": "replica"})
        return _Prepared(url, await connection.fetch(_MARK), connection)

    async def _drop(self, prepared: _Prepared) -> None:
        prepared.connection.terminate()
        await postgresql.drop_database(self._server, prepared.url)


async def _empty(prepared: _Prepared) -> bool:
    connection = prepared.connection
    try:
        await connection.execute(_DISCONNECT_OTHERS)
        if await connection.fetch(_MARK) != prepared.mark:
            return False
        tables = await connection.fetch(_SIZES, VERSION_TABLE)
        if any(table["size"] > _LARGE for table in tables):
            return False
        await connection.execute("; ".join(f"DELETE FROM {table['name']}" for table in tables))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        # The test has dropped it, or closed all connections.
        return False
    return True


def run_directory(worker_directory: Path) -> Path:
    """The directory shared by the workers of a run; without xdist, the given one."""
    return worker_directory.parent if "PYTEST_XDIST_WORKER" in os.environ else worker_directory
