"""What a repository does it does on each database: a test that needs no SQLite file runs on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

DATABASES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only_sqlite = "database_path" in metafunc.fixturenames or metafunc.definition.get_closest_marker("sqlite")
    if "database_url" in metafunc.fixturenames and not only_sqlite:
        metafunc.parametrize("database_url", DATABASES, indirect=True)


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
