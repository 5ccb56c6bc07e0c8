"""What a repository does it does on each database: a test that needs no SQLite file runs on both."""

import pytest

from tests.databases import parametrize

ONLY_ONE = ("sqlite", "postgresql", "both_databases")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not any(metafunc.definition.get_closest_marker(name) for name in ONLY_ONE):
        parametrize(metafunc)
