from pathlib import Path

import pytest

from tests.clients.installing import Installer


@pytest.fixture(scope="session")
def installer(pytestconfig: pytest.Config) -> Installer:
    return Installer(pytestconfig.cache.mkdir("clients"))


@pytest.fixture(scope="session")
def node_packages(installer: Installer) -> Path:
    return installer.node_packages()
