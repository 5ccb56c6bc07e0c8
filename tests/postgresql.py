"""A PostgreSQL server for the tests, in a temporary directory, on a free port, stopped when they end."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from storage.database import Database
from tests.ram_disk import MEMORY

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

_SETTINGS = {
    # The data doesn't outlive the tests, so it needn't survive a crash.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "unix_socket_directories": "",
    "max_wal_size": "4GB",
}

SOCKET = {"unix_socket_directories": "."}
"""Settings for a Unix socket in the data directory, reachable from any network namespace."""

_NUMBERS = count(1)

GUARDED = "guarded"
"""The name of a user with a password."""


class NoServerError(Exception):
    """No server is available; the message says why."""


@contextmanager
def skip_if_unavailable() -> Iterator[None]:
    """Skip the test if there is no server, except in CI, where nothing may be skipped."""
    try:
        yield
    except NoServerError as failure:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(failure))


def programs() -> Path:
    """The directory of the server's programs. Raises: NoServerError."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    if _PROGRAMS:
        return _PROGRAMS[-1]
    raise NoServerError("PostgreSQL is not installed: apt-get install postgresql")


def account() -> dict[str, Any]:
    """The account to run the server as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise NoServerError("PostgreSQL can't be run by root, and there is no user postgres or nobody")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@dataclass
class Server:
    """A server that can be stopped and restarted."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    settings: dict[str, str] | None = None
    netns: str | None = None
    """Its network namespace."""

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """The URL by Unix socket, for a server with the settings `SOCKET` whose network can't be reached."""
        return f"postgresql://postgres@/{database}?host={self._data}&port={self.port}"

    def initialise(self) -> None:
        self._give_away()
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "--pgdata", str(self._data), *options)
        # Only tests can reach it; some test passwords.
        access = (
            f"host all {GUARDED} all scram-sha-256\nhost all,replication all all trust\nlocal all all trust\n"
        )
        (self._data / "pg_hba.conf").write_text(access)

    def follow(self, primary: "Server") -> None:
        """Set up as a standby of a running primary."""
        self._give_away()
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._run("pg_basebackup", "--dbname", primary.url(), "--pgdata", str(self._data), *options)

    def promote(self) -> None:
        """Make the standby a primary."""
        self._run("pg_ctl", "--pgdata", str(self._data), "-w", "promote")

    def start(self) -> None:
        settings = _SETTINGS | {"port": str(self.port), "listen_addresses": self.host} | (self.settings or {})
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = str(self.directory / "log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--log", log, "--options", options, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "--pgdata", str(self._data), "--mode", how, "-w", "stop")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _give_away(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.directory, *(account()[name] for name in ("user", "group")))

    def _run(self, program: str, *arguments: str) -> None:
        within = ["ip", "netns", "exec", self.netns] if self.netns else []
        command = [*within, str(programs() / program), *arguments]
        owner = account()
        if within and owner:
            # Only root can enter a namespace, so the user is changed after entering.
            ids = [f"--reuid={owner['user']}", f"--regid={owner['group']}", "--clear-groups"]
            command = [*within, "setpriv", *ids, *command[len(within) :]]
            owner = {}
        done = subprocess.run(
            command,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            **owner,
        )
        if done.returncode:
            log = self.directory / "log"
            output = done.stdout or (log.read_text() if log.exists() else "")
            raise NoServerError(f"{program} failed: {output[-2000:]}")


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """A running server. Raises: NoServerError."""
    programs()
    with TemporaryDirectory(prefix="certctl-pg-", dir=MEMORY) as directory:
        server = Server(Path(directory), free_port(), **options)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


TEMPLATE = "template_of_ours"


async def prepare(server: Server) -> None:
    """Create the template of the tests' databases."""
    await execute(server.url(), f"CREATE DATABASE {TEMPLATE}")
    async with Database.open(server.url(TEMPLATE)):
        pass


async def create_database(server: Server, template: str = TEMPLATE, options: str = "") -> str:
    """Create a database; returns its URL."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    await execute(server.url(), f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY {options}")
    return server.url(name)


async def drop_database(server: Server, url: str) -> None:
    await execute(server.url(), f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
