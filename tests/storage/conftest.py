"""Runs every test here on both databases, unless it needs an SQLite file."""

import pytest

from tests.databases import parametrize

ONLY_ONE = ("sqlite", "postgresql", "both_databases")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not any(metafunc.definition.get_closest_marker(name) for name in ONLY_ONE):
        parametrize(metafunc)
