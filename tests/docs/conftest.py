from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.certctl_mcp.notifiers.relay import Relay, relaying
from tests.docs.page_setups import KEY, with_dead_letters
from tests.e2e.http_receiver import Receiver, receiving
from tests.e2e.http_server import HttpProcess, serving
from tests.e2e.queue_file import fill


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    """Environment variables for a queue and a webhook."""
    return {
        "HOME": str(tmp_path),
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/notifications.db",
        "CERTCTL_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_port}/hook",
    }


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[HttpProcess]:
    """A server over HTTP with an administrator's key and a dead letter."""
    fill(environment["CERTCTL_DATABASE_URL"], with_dead_letters)
    with serving(environment | {"CERTCTL_API_KEYS_NAMED": f"ops:{KEY}:admin"}) as served:
        yield served


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A mail relay."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(relaying()) as served:
        yield served
