"""axe finds nothing serious in any tab or dialog, wide and light or narrow and dark."""

import pytest
from playwright.async_api import expect

from tests.ui.accessibility import grave_findings
from tests.ui.conftest import Site, Visit, Visiting
from tests.ui.rows import Stored

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
async def test_axe_finds_nothing_serious(
    site: Site, visiting: Visiting, axe: str, width: int, scheme: str
) -> None:
    site.store(
        *(Stored(status=status, certificate_id="mc-api") for status in ("dead", "pending", "sent", "read")),
        Stored(status="failed", retry_count=2),
        Stored(status="sent", error="no notifier configured for channel X; not delivered"),
        Stored(attempts=(("failed", "HTTP 503"), ("dead", "HTTP 410"))),
    )
    visit: Visit = await visiting(width=width, scheme=scheme)
    page = visit.page
    await page.goto(site.url)
    await expect(page.locator(".cause").first).to_be_visible()
    await page.get_by_text("Deliveries", exact=True).click()
    await expect(page.get_by_role("img")).to_be_visible()
    assert await grave_findings(axe, page) == []
    await page.get_by_role("tab", name="Channels").click()
    await page.get_by_role("button", name="Pause").first.click()
    await expect(page.get_by_label("Reason")).to_be_visible()
    assert await grave_findings(axe, page) == []
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("tab", name="Dead letter").click()
    await expect(page.locator(".list tr[data-id]")).to_have_count(2)
    await page.get_by_role("button", name="By certificate").click()
    await page.get_by_role("checkbox", name="Select all that are shown").check()
    assert await grave_findings(axe, page) == []
    await page.get_by_role("button", name="Requeue…").click()
    await expect(page.get_by_role("button", name="Requeue 2")).to_be_visible()
    assert await grave_findings(axe, page) == []
    await page.keyboard.press("Escape")
    await page.locator(".list .type").last.click()
    await expect(page.get_by_role("list", name="Attempts")).to_be_visible()
    assert await grave_findings(axe, page) == []
