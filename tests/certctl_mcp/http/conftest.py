"""The HTTP server in process, on a real database, with channels that behave as a test needs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest

from certctl_mcp.config.settings import load_settings
from certctl_mcp.http.app import HttpServer, http_server
from storage.database import Database
from tests.builders import SettableClock
from tests.context_in_task import ContextInTask
from tests.in_process_server import FakeNotifier, opener

ADMIN, OPERATOR, READER = "key-of-ada", "key-of-otto", "key-of-rita"
KEYS = f"ada:{ADMIN}:admin,otto:{OPERATOR},rita:{READER}:read-only"


@dataclass
class Served:
    """A running server and its address."""

    server: HttpServer

    def client(
        self, key: str | None = None, address: str = "127.0.0.1", **headers: str
    ) -> httpx2.AsyncClient:
        """A client that sends `key` with each request, from `address`."""
        authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.server.app, client=(address, 40000)),
            base_url="http://localhost:8080",
            headers={**authorization, **headers},
        )


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(database: Database, database_url: str, clock: SettableClock) -> AsyncIterator[Serve]:
    """Starts a server with the channels Webhook and Slack; the arguments are environment variables.

    Slack refuses everything for the reason `refused_by_slack`, if there is one.
    """
    started: list[ContextInTask[HttpServer]] = []

    async def start(refused_by_slack: str | None = None, **environ: str) -> Served:
        given = {
            "CERTCTL_DATABASE_URL": database_url,
            "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/",
            "CERTCTL_SLACK_WEBHOOK_URL": "http://127.0.0.1:9/slack",
            # Every tool, including those that an operator must enable by name.
            "CERTCTL_MCP_TOOLS": "triage,send,requeue,settle,channels,purge",
        }
        settings = load_settings(None, given | environ)
        channels = {"Webhook": FakeNotifier(), "Slack": FakeNotifier(refused_by_slack)}
        open_application = opener(database, clock, channels)
        context = ContextInTask(http_server(settings, open_application=open_application, clock=clock))
        started.append(context)
        return Served(await context.enter())

    yield start
    for context in started:
        await context.exit()


@pytest.fixture
async def served(serve: Serve) -> Served:
    """With a key of each role."""
    return await serve(CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_RATE_LIMIT_ENABLED="false")
