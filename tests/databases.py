"""Which databases is a test run on? In tests/storage on all, unless it says otherwise; elsewhere on SQLite,
unless it says `both_databases`."""

import pytest

DATABASES = ("sqlite", "postgresql")


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run it on all of them, if it has a database at all that is not a certain file."""
    if "database_url" in metafunc.fixturenames and "database_path" not in metafunc.fixturenames:
        metafunc.parametrize("database_url", DATABASES, indirect=True)


def parametrize_as_marked(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("postgresql"):
        metafunc.parametrize("database_url", ["postgresql"], indirect=True)
    elif metafunc.definition.get_closest_marker("both_databases"):
        parametrize(metafunc)
