"""Parametrizes tests by database. Those in tests/storage run on both unless marked otherwise; others run on
SQLite unless marked `both_databases`."""

import pytest

DATABASES = ("sqlite", "postgresql")


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run the test on both databases, if it uses a database and not its file."""
    if "database_url" in metafunc.fixturenames and "database_path" not in metafunc.fixturenames:
        metafunc.parametrize("database_url", DATABASES, indirect=True)


def parametrize_as_marked(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("postgresql") and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", ["postgresql"], indirect=True)
    elif metafunc.definition.get_closest_marker("both_databases"):
        parametrize(metafunc)
