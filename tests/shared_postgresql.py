"""One PostgreSQL server for all workers of a run, and databases that tests use one after another.

Starting a server takes seconds. A new database takes ten times as long as emptying one, so a test gets a used
database if only few rows have changed in it since it was made.
"""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import asyncpg

from storage.schema.migrations import VERSION_TABLE
from tests import postgresql
from tests.memory import MEMORY
from tests.postgresql import Server

_CATALOGS = ("pg_class", "pg_attribute", "pg_index", "pg_trigger", "pg_proc", "pg_namespace", "pg_statistic")
_MARK = " UNION ALL ".join(
    f"SELECT '{catalog}', count(*), max(xmin::text::bigint) FROM {catalog}" for catalog in _CATALOGS
)
"""What differs after any statement that changes more of a database than rows."""

_LARGE = 1 << 20

_DISCONNECT_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@contextmanager
def shared_server(directory: Path) -> Iterator[Server]:
    """The server of all who name the same directory: the first one starts it, and the last one stops it.

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
    """What the processes know of the server, while no other one changes it."""
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


@dataclass
class Databases:
    """Databases with the schema and without rows."""

    server: Server
    _free: list[_Prepared] = field(default_factory=list)
    _taken: dict[str, _Prepared] = field(default_factory=dict)

    async def take(self) -> str:
        """The URL of one that nobody else uses."""
        prepared = self._free.pop() if self._free else await self._create()
        self._taken[prepared.url] = prepared
        return prepared.url

    async def give_back(self, url: str) -> None:
        """Disconnect whoever still uses it, and keep it if only few rows have changed in it."""
        prepared = self._taken.pop(url)
        if await _emptied(prepared):
            self._free.append(prepared)
        else:
            await postgresql.drop_database(self.server, url)

    async def _create(self) -> _Prepared:
        url = await postgresql.create_database(self.server)
        connection = await asyncpg.connect(url)
        try:
            return _Prepared(url, await connection.fetch(_MARK))
        finally:
            await connection.close()


async def _emptied(prepared: _Prepared) -> bool:
    try:
        connection = await asyncpg.connect(prepared.url)
    except asyncpg.PostgresError:
        # The test has removed it, or lets nobody connect to it.
        return False
    try:
        await connection.execute(_DISCONNECT_OTHERS)
        if await connection.fetch(_MARK) != prepared.mark:
            return False
        tables = await connection.fetch(
            "SELECT quote_ident(tablename) AS name, pg_total_relation_size(quote_ident(tablename)) AS size "
            "FROM pg_tables WHERE schemaname = 'public' AND tablename <> $1",
            VERSION_TABLE,
        )
        if any(table["size"] > _LARGE for table in tables):
            return False
        # Triggers would announce the deletions, and check references in vain.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("; ".join(f"DELETE FROM {table['name']}" for table in tables))
        return True
    finally:
        await connection.close()


def run_directory(worker_directory: Path) -> Path:
    """What the workers of a run have in common, given the directory of one; without xdist it is that one."""
    return worker_directory.parent if "PYTEST_XDIST_WORKER" in os.environ else worker_directory
