"""The page within a conversation: in a sandbox, behind the official bridge, next to its tool call."""

import json
import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from mcp import Client
from mcp.server.apps import APP_MIME_TYPE
from mcp_types import TextResourceContents
from playwright.async_api import FrameLocator, Page, Route, expect

from certctl_mcp.config.settings import load_settings
from certctl_mcp.mcp_server.server import build_server
from tests.ui.accessibility import grave_findings
from tests.ui.conftest import Site, Visit, Visiting
from tests.ui.rows import Stored
from tests.ui.test_hostile import ATTACKS, hostile

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = Path(__file__).parent
LONG = "HTTP 503: " + "upstream connect error, reset before headers; " * 20 + "the end of it"
MODULES = {
    "@modelcontextprotocol/ext-apps/app-bridge": "@modelcontextprotocol/ext-apps/dist/src/app-bridge.js",
    "@modelcontextprotocol/client": "@modelcontextprotocol/client/dist/index.mjs",
    "@modelcontextprotocol/client/_shims": "@modelcontextprotocol/client/dist/shimsBrowser.mjs",
    "@modelcontextprotocol/core": "@modelcontextprotocol/core/dist/index.mjs",
    "@modelcontextprotocol/core/internal": "@modelcontextprotocol/core/dist/internal.mjs",
    "eventsource": "eventsource/dist/index.js",
    "eventsource-parser": "eventsource-parser/dist/index.js",
    "eventsource-parser/stream": "eventsource-parser/dist/stream.js",
    "jose": "jose/dist/webapi/index.js",
    "pkce-challenge": "pkce-challenge/dist/index.browser.js",
    "zod/v4": "zod/v4/index.js",
}
"""The modules that a bundler would find for the host."""

mimetypes.add_type("text/javascript", ".mjs")


async def converse(
    page: Page, site: Site, packages: Path, theme: str = "light", **arguments: Any
) -> FrameLocator:
    """Makes the host show the result of `list_notifications` with `arguments`; returns the app within it."""

    async def file_of_host(route: Route) -> None:
        path = urlsplit(route.request.url).path.removeprefix("/host/")
        if path == "":
            imports = {name: f"/host/modules/{place}" for name, place in MODULES.items()}
            html = (HERE / "host.html").read_text().replace("IMPORT_MAP", json.dumps({"imports": imports}))
            await route.fulfill(body=html, content_type="text/html")
            return
        module = path.removeprefix("modules/")
        await route.fulfill(path=HERE / path if module == path else packages / module)

    await page.route("**/host/**", file_of_host)
    await page.goto(f"{site.url}host/?theme={theme}&arguments={quote(json.dumps(arguments))}")
    app = page.frame_locator("#view")
    await expect(app.locator("#link-text")).to_have_text("Up to date")
    return app


async def test_a_dead_letter_can_be_found_read_and_requeued_and_is_then_shown_as_sent(
    site: Site, visit: Visit, packages: Path
) -> None:
    (dead,) = site.store(Stored(last_error=LONG))
    site.store(Stored(status="sent"))
    page = visit.page
    app = await converse(page, site, packages, status=["dead"])
    await expect(app.get_by_role("tab", name="Dead letter")).to_have_attribute("aria-selected", "true")
    row = app.locator(f'.list tr[data-id="{dead}"]')
    await expect(row).to_contain_text("5 of 5 attempts")
    await expect(app.locator(".list tr[data-id]")).to_have_count(1)
    await row.get_by_role("button", name="HTTP 503").hover()
    await expect(app.get_by_role("tooltip")).to_have_text(LONG)
    await row.get_by_role("button", name="Requeue").click()
    followed = app.get_by_role("list", name="Requeued just now").get_by_role("listitem")
    await expect(followed.locator(".badge")).to_have_text("sent")
    await expect(row).to_have_count(0)
    called = await page.evaluate("host.called")
    assert [one["arguments"] for one in called if one["name"] == "requeue_notification"] == [{"id": dead}]


async def test_the_app_starts_with_the_filter_of_the_tool_call(
    site: Site, visit: Visit, packages: Path
) -> None:
    (wanted,) = site.store(Stored(certificate_id="mc-api", channel="Slack", status="sent"))
    site.store(Stored(certificate_id="mc-mail"), Stored(certificate_id="mc-api", channel="Email"))
    app = await converse(
        visit.page, site, packages, certificate_id="mc-api", channel="Slack", created_after="2d"
    )
    shown = app.locator(".list tr[data-id]")
    await expect(shown).to_have_count(1)
    await expect(shown).to_have_attribute("data-id", wanted)
    await expect(app.get_by_label("Channel", exact=True)).to_have_value("Slack")
    await app.get_by_role("button", name="Remove the filter Certificate mc-api").click()
    await app.get_by_label("Channel", exact=True).select_option("")
    await expect(shown).to_have_count(3)


async def test_the_app_has_the_theme_of_its_host_and_the_height_it_needs(
    site: Site, visiting: Visiting, packages: Path
) -> None:
    site.store(*(Stored() for _ in range(60)))
    visit: Visit = await visiting(scheme="light", width=340)
    app = await converse(visit.page, site, packages, theme="dark")
    dark = "rgb(20, 23, 28)"
    await expect(app.locator("html")).to_have_css("background-color", dark)
    await visit.page.evaluate("host.bridge.setHostContext({ theme: 'light' })")
    await expect(app.locator("html")).to_have_css("background-color", "rgb(255, 255, 255)")
    themed = {"theme": "light", "styles": {"variables": {"--color-background-primary": "#fffdf5"}}}
    await visit.page.evaluate("context => host.bridge.setHostContext(context)", themed)
    await expect(app.locator("html")).to_have_css("background-color", "rgb(255, 253, 245)")
    # Sixty cards scroll within the list; the page stays small enough for a conversation.
    height = await visit.page.locator("#view").evaluate("view => view.clientHeight")
    assert 400 < height < 1200
    scrolls = await app.locator("html").evaluate("root => root.scrollHeight > root.clientHeight")
    assert not scrolls


async def test_hostile_text_has_no_effect(site: Site, visit: Visit, packages: Path) -> None:
    site.store(*(hostile(attack, number) for number, attack in enumerate(ATTACKS)))
    app = await converse(visit.page, site, packages)
    rows = app.locator(".list tr[data-id]")
    await expect(rows).to_have_count(len(ATTACKS))
    for at in range(len(ATTACKS)):
        await rows.nth(at).locator(".type").click()
        await expect(app.locator("#details .step-error")).to_have_count(2)
        await visit.page.keyboard.press("Escape")
        await expect(app.locator("#details")).to_be_hidden()
    assert await app.locator("html").evaluate("() => window.broken") is None
    assert await app.locator("body script, body iframe, body svg, body img").count() == 0


async def test_axe_finds_nothing_serious(site: Site, visiting: Visiting, packages: Path, axe: str) -> None:
    site.store(Stored(certificate_id="mc-api"), Stored(status="failed", retry_count=2), Stored(status="sent"))
    visit: Visit = await visiting(width=400)
    app = await converse(visit.page, site, packages, theme="dark")
    await expect(app.locator(".list tr[data-id]")).to_have_count(3)
    (_, frame) = visit.page.frames
    assert await grave_findings(axe, frame) == []
    await app.locator(".list .type").first.click()
    await expect(app.get_by_role("list", name="Attempts")).to_be_visible()
    assert await grave_findings(axe, frame) == []


async def test_the_page_is_one_self_contained_document(tmp_path: Path) -> None:
    environment = {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/notifications.db",
        "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "7",
    }
    async with Client(build_server(load_settings(None, environment))) as client:
        (tool,) = (one for one in (await client.list_tools()).tools if one.name == "list_notifications")
        assert tool.meta is not None
        (page,) = (await client.read_resource(tool.meta["ui"]["resourceUri"])).contents
    assert isinstance(page, TextResourceContents)
    assert page.mime_type == APP_MIME_TYPE
    assert page.meta is not None
    assert page.meta["ui"]["csp"] == {
        "connectDomains": [],
        "resourceDomains": [],
        "frameDomains": [],
        "baseUriDomains": [],
    }
    head = page.text.partition("<body>")[0]
    assert "src=" not in head.partition("<style>")[0]
    assert "<link" not in head
    assert "\nimport " not in head
    assert 'data-max-attempts="7"' in head
    assert page.text.count("</script") == 1


async def test_without_reading_tools_there_is_no_page(tmp_path: Path) -> None:
    environment = {
        "CERTCTL_DATABASE_URL": f"sqlite:///{tmp_path}/notifications.db",
        "CERTCTL_MCP_TOOLS": "send",
    }
    async with Client(build_server(load_settings(None, environment))) as client:
        assert not client.server_capabilities.extensions
        assert all(tool.meta is None for tool in (await client.list_tools()).tools)
