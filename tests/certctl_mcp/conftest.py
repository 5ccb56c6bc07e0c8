"""An SDK client connected to a server on the test's own database."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client
from mcp.client.client import ConnectMode

from certctl_mcp.config.settings import load_settings
from storage.database import Database
from tests.builders import SettableClock
from tests.in_process_server import FakeNotifier, server

Connect = Callable[..., AbstractAsyncContextManager[Client]]

LEGACY: ConnectMode = "legacy"
MODERN: ConnectMode = "2026-07-28"
MODES = [LEGACY, MODERN]


@pytest.fixture
def connect(database: Database, database_url: str, clock: SettableClock) -> Connect:
    """Connects in this mode to a server with the channels `Webhook` and `Slack`; options are settings."""

    def connected(mode: ConnectMode, heard: Any = None, **options: object) -> Client:
        environ = {
            "CERTCTL_DATABASE_URL": database_url,
            "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/",
            "CERTCTL_SLACK_WEBHOOK_URL": "http://127.0.0.1:9/slack",
        }
        settings = load_settings(None, environ, **options)
        channels = {"Webhook": FakeNotifier(), "Slack": FakeNotifier()}
        return Client(server(database, clock, settings, channels), mode=mode, message_handler=heard)

    return connected
