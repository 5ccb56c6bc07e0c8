"""What a repository does it does on each database: a test that needs no SQLite file runs on both."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgresql
from tests.postgresql import NoServerError, Server

DATABASES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only_sqlite = "database_path" in metafunc.fixturenames or metafunc.definition.get_closest_marker("sqlite")
    if "database_url" in metafunc.fixturenames and not only_sqlite:
        metafunc.parametrize("database_url", DATABASES, indirect=True)


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
    yield request.getfixturevalue("postgresql_url")


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """Of a new database, for what only PostgreSQL does."""
    url = asyncio.run(postgresql.create_database(postgresql_server))
    yield url
    asyncio.run(postgresql.drop_database(postgresql_server, url))
