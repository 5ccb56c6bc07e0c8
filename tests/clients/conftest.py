import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.installing import Installer
from tests.clients.refused import Refused, refused_at_first


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
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    with refused_at_first(tmp_path_factory.mktemp("refused")) as found:
        yield found
