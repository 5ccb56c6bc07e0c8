"""A real browser with a real server, its own database, and a receiver."""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

from certctl_mcp.config.settings import load_settings
from certctl_mcp.http.app import http_server
from tests.clients.installer import Installer
from tests.context_in_task import ContextInTask
from tests.e2e.http_receiver import Receiver, receiving
from tests.ui.rows import Stored, store

PACKAGES = Path(__file__).parent / "packages"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first one installed is used. The headless one takes half the processor time."""

PATIENCE = 30_000
"""The time limit, in milliseconds, for anything a person would wait for."""

expect.set_options(timeout=PATIENCE)


def _absent(why: str) -> None:
    # In CI, nothing may be skipped.
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=program)
        except PlaywrightError as failure:
            _absent(f"no Chromium can be started: {failure.message.splitlines()[0]}")
            raise
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    context = ContextInTask(chromium())
    yield await context.enter()
    await context.exit()


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config) -> Path:
    """The directory of the official bridge and axe."""
    return Installer(pytestconfig.cache.mkdir("clients")).node_packages(PACKAGES) / "node_modules"


@pytest.fixture(scope="session")
def axe(packages: Path) -> str:
    return (packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Accepts everything sent over the channel `Webhook`."""
    with receiving() as server:
        yield server


@dataclass(frozen=True, slots=True)
class Site:
    """A running server."""

    url: str
    database: Path
    receiver: Receiver

    def store(self, *rows: Stored) -> list[str]:
        return store(self.database, rows)


Serve = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="session")
async def serve(tmp_path: Path, migrated: Path, receiver: Receiver) -> AsyncIterator[Serve]:
    """Starts a server with these environment variables."""
    database = Path(shutil.copy(migrated, tmp_path / "notifications.db"))
    started: list[ContextInTask[Site]] = []

    async def start(**environment: str) -> Site:
        context = ContextInTask(site_of(database, receiver, environment))
        site = await context.enter()
        started.append(context)
        return site

    yield start
    for context in started:
        await context.exit()


@pytest_asyncio.fixture(loop_scope="session")
async def site(serve: Serve) -> Site:
    started: Site = await serve()
    return started


@asynccontextmanager
async def site_of(database: Path, receiver: Receiver, environment: dict[str, str]) -> AsyncIterator[Site]:
    settings = load_settings(
        None,
        {
            "CERTCTL_DATABASE_URL": f"sqlite:///{database}",
            "CERTCTL_WEBHOOK_URL": f"http://127.0.0.1:{receiver.server_port}/",
            **environment,
        },
    )
    async with http_server(settings) as server:
        # Tests that insert rows directly find its tables.
        await server.state.opened.application()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            web = uvicorn.Server(
                uvicorn.Config(server.app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
            )
            web.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            serving = asyncio.create_task(web.serve(sockets=[listener]))
            yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}/", database, receiver)
            server.state.begin_shutdown()
            web.should_exit = True
            await serving


def called(request: Request) -> dict[str, Any]:
    """The message in a request of the page to `/mcp`."""
    assert request.post_data is not None
    params: dict[str, Any] = json.loads(request.post_data)["params"]
    return params


@dataclass
class Visit:
    """A page in a browser, with all its requests and errors."""

    page: Page
    asked: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def calls(self, tool: str) -> list[dict[str, Any]]:
        """The arguments of each call of a tool, in order."""
        calls = [called(request) for request in self.asked if request.method == "POST"]
        return [call["arguments"] for call in calls if call.get("name") == tool]


Visiting = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="session")
async def visiting(browser: Browser) -> AsyncIterator[Visiting]:
    """Opens pages, which must cause no errors."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    async def visit(width: int = 1280, height: int = 900, scheme: Any = "light") -> Visit:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC"
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        found = Visit(await context.new_page())
        visits.append(found)
        found.page.on("request", lambda request: found.asked.append(request))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", lambda dialog: found.complaints.append(f"dialog {dialog.message}"))
        found.page.on(
            "console",
            lambda said: found.complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        return found

    yield visit
    for context in contexts:
        await context.close()
    for seen in visits:
        assert seen.complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def visit(site: Site, visiting: Visiting) -> Visit:
    """A visit of `site`, whose page is not opened yet."""
    found: Visit = await visiting()
    return found
