import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.dead_letters import DeadLetters, create_dead_letters
from tests.clients.installer import Installer


@pytest.fixture(scope="session")
def installer(pytestconfig: pytest.Config) -> Installer:
    return Installer(pytestconfig.cache.mkdir("clients"))


@pytest.fixture(scope="session")
def node_packages(installer: Installer) -> Path:
    return installer.node_packages()


@pytest.fixture(scope="session")
def python_with_mcp_1(installer: Installer) -> Path:
    return installer.python("mcp1.txt")


@pytest.fixture(scope="session")
def python_with_fastmcp(installer: Installer) -> Path:
    return installer.python("fastmcp.txt")


@pytest.fixture(scope="session")
def this_python() -> Path:
    return Path(sys.executable)


@pytest.fixture(scope="session")
def dead_letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeadLetters]:
    with create_dead_letters(tmp_path_factory.mktemp("dead_letters")) as found:
        yield found
