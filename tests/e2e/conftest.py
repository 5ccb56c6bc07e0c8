import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CERTCTL_")}
    return kept | {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path / 'notifications.db'}",
        "CERTCTL_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_port}/hooks/unguessable",
        "TERM": "xterm-256color",
    }
