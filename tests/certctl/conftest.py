import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from storage.maintenance.migrate import migrated
from tests import certctl_schema, postgresql
from tests.builders import SettableClock
from tests.certctl.simulation import Simulation
from tests.exploration import size


@pytest.fixture
def certctl_url(empty_database: str) -> str:
    """The URL of a database of certctl's that certctl-mcp has never migrated."""
    asyncio.run(postgresql.execute(empty_database, *certctl_schema.NEWEST))
    return empty_database


@pytest.fixture
def migrated_url(certctl_url: str) -> str:
    asyncio.run(migrated(certctl_url))
    return certctl_url


@pytest.fixture
async def connection(certctl_url: str) -> AsyncIterator[asyncpg.Connection]:
    """certctl's own connection."""
    connected = await asyncpg.connect(certctl_url)
    yield connected
    await connected.close()


@pytest.fixture(params=range(size(1, 20)))
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
async def simulation(clock: SettableClock, seed: int) -> AsyncIterator[Simulation]:
    made = Simulation(clock, seed)
    yield made
    await made.end()
