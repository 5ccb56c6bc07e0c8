"""A PostgreSQL of the tests' own: in a temporary directory, on a free port, ended with them."""

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
from tests.memory import MEMORY

_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

_SETTINGS = {
    # Nothing here outlives the tests, so nothing needs to outlive the power.
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
"""Lets whoever may read its data directory reach it, from whatever network."""

_NUMBERS = count(1)

GUARDED = "guarded"
"""A user who must give a password."""


class NoServerError(Exception):
    """None can be had here; the message says why."""


@contextmanager
def skipped_where_there_is_none() -> Iterator[None]:
    """Where everything has to be proven, what could not be tried is a failure."""
    try:
        yield
    except NoServerError as failure:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(failure))


def programs() -> Path:
    """Where the server's programs are. Raises: NoServerError."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    if _PROGRAMS:
        return _PROGRAMS[-1]
    raise NoServerError("PostgreSQL is not installed: apt-get install postgresql")


def account() -> dict[str, Any]:
    """Root may not run it; then it is run by somebody who owns nothing else."""
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
    """One that can be stopped and started again."""

    directory: Path
    port: int
    host: str = "127.0.0.1"
    settings: dict[str, str] | None = None
    netns: str | None = None
    """The network namespace that it lives in."""

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@{self.host}:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """Where its network can't be reached; for a server whose settings say `SOCKET`."""
        return f"postgresql://postgres@/{database}?host={self._data}&port={self.port}"

    def initialise(self) -> None:
        self._give_away()
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "--pgdata", str(self._data), *options)
        # Whoever may reach it is a test; one of them gives a password.
        access = (
            f"host all {GUARDED} all scram-sha-256\nhost all,replication all all trust\nlocal all all trust\n"
        )
        (self._data / "pg_hba.conf").write_text(access)

    def follow(self, primary: "Server") -> None:
        """Begin as a standby of the other, which runs."""
        self._give_away()
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._run("pg_basebackup", "--dbname", primary.url(), "--pgdata", str(self._data), *options)

    def promote(self) -> None:
        """Be no standby any more."""
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
        who = account()
        if within and who:
            # Only root enters a namespace; who enters it then becomes somebody else.
            ids = [f"--reuid={who['user']}", f"--regid={who['group']}", "--clear-groups"]
            command = [*within, "setpriv", *ids, *command[len(within) :]]
            who = {}
        done = subprocess.run(
            command,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            **who,
        )
        if done.returncode:
            log = self.directory / "log"
            told = done.stdout or (log.read_text() if log.exists() else "")
            raise NoServerError(f"{program} failed: {told[-2000:]}")


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """A server that is up. Raises: NoServerError."""
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
    """Make the template of the tests' databases."""
    await execute(server.url(), f"CREATE DATABASE {TEMPLATE}")
    async with Database.open(server.url(TEMPLATE)):
        pass


async def create_database(server: Server, template: str = TEMPLATE, options: str = "") -> str:
    """A new database, and its URL."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    await execute(server.url(), f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY {options}")
    return server.url(name)


async def drop_database(server: Server, url: str) -> None:
    await execute(server.url(), f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
