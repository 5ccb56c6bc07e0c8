"""Anything in a notification is plain text on the page."""

import pytest
from playwright.async_api import expect

from tests.ui.conftest import Site, Visit
from tests.ui.rows import Stored

pytestmark = pytest.mark.asyncio(loop_scope="session")

ATTACKS = (
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "\"><svg onload='window.broken = 3'>",
    "javascript:window.broken=4",
    "</textarea></title></style><iframe srcdoc='<script>parent.broken=5</script>'>",
    "{{constructor.constructor('window.broken=6')()}}",
    "__proto__",
    "<b>bold</b> & &lt;i&gt;",
)


def hostile(attack: str, number: int) -> Stored:
    return Stored(
        id=f"{attack}-{number}",
        type=attack,
        channel=attack,
        recipient=attack,
        message=attack,
        certificate_id=attack,
        last_error=attack,
        attempts=(("failed", "HTTP 503"), ("dead", attack)),
    )


async def test_hostile_text_in_every_field_has_no_effect(site: Site, visit: Visit) -> None:
    site.store(*(hostile(attack, number) for number, attack in enumerate(ATTACKS)))
    page = visit.page
    await page.goto(f"{site.url}?view=all")
    await page.evaluate(
        """() => {
            window.violations = [];
            addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
        }"""
    )
    rows = page.locator(".list tr[data-id]")
    await expect(rows).to_have_count(len(ATTACKS))
    await page.get_by_text("Deliveries", exact=True).click()
    await expect(page.get_by_role("img")).to_be_visible()
    for at in range(len(ATTACKS)):
        shown = rows.nth(at)
        attack = await shown.locator(".message").inner_text()
        assert attack in ATTACKS
        await expect(shown.locator(".type")).to_have_text(attack)
        await shown.locator(".error").hover()
        await expect(page.get_by_role("tooltip")).to_have_text(attack)
        await shown.locator(".type").click()
        details = page.locator("#details")
        await expect(details.locator(".step-error")).to_have_text(["HTTP 503", attack])
        await page.keyboard.press("Escape")
    await page.get_by_role("button", name="By certificate").click()
    await expect(page.locator(".group-name")).to_have_count(len(ATTACKS))
    await page.get_by_role("checkbox", name="Select all that are shown").check()
    await page.get_by_role("button", name="Requeue…").click()
    await expect(page.get_by_role("alertdialog")).to_contain_text(ATTACKS[0])
    await page.keyboard.press("Escape")
    await page.get_by_role("tab", name="Dead letter").click()
    await rows.first.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("list", name="Requeued just now").get_by_role("listitem")).to_have_count(1)

    await page.get_by_role("tab", name="Causes").click()
    await expect(page.locator(".cause")).not_to_have_count(0)
    await page.get_by_role("tab", name="Channels").click()

    assert await page.evaluate("window.broken") is None
    assert await page.evaluate("violations") == []
    planted = await page.locator(
        "body script, body iframe, body svg:not(.chart), body b:not(dd b, li b), body i"
    ).count()
    assert planted == 0
    assert await page.locator("img").count() == 0
