"""Takes the README's screenshots of the page: `python -m tests.ui.screenshots`."""

import asyncio
import io
import logging
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.async_api import Browser, expect

from tests.e2e.http_receiver import Receiver
from tests.ui.conftest import Site, chromium, site_of
from tests.ui.sample_notifications import bad_night

PLACE = Path(__file__).parents[2] / "examples" / "screenshots"
WIDTH, HEIGHT = 1280, 800

CHANNELS = {
    "CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T000/B000/XXXX",
    "CERTCTL_TEAMS_WEBHOOK_URL": "https://prod-17.westeurope.logic.azure.com/workflows/0000",
    "CERTCTL_PAGERDUTY_ROUTING_KEY": "0" * 32,
    "CERTCTL_SMTP_HOST": "smtp.example.com",
    "CERTCTL_SMTP_FROM_ADDRESS": "certctl@example.com",
}


async def take(browser: Browser, site: Site, scheme: str) -> None:
    """Screenshots of the first view and of the dead letters, in one color scheme."""
    page = await browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="UTC",
    )
    for name, shown in (("causes", ".cause"), ("dead-letter", ".list tr[data-id]")):
        await page.goto(f"{site.url}?view={name.partition('-')[0]}")
        await expect(page.locator("#link-text")).to_have_text("Live")
        await expect(page.locator("#deliveries-line")).not_to_be_empty()
        await expect(page.locator(shown).first).to_be_visible()
        await expect(
            page.locator(".cause .state").first if name == "causes" else page.locator("#shown")
        ).not_to_be_empty()
        (PLACE / f"{name}-{scheme}.png").write_bytes(small(await page.screenshot()))
    await page.close()


def small(png: bytes) -> bytes:
    """The picture reduced to the best palette."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    found = io.BytesIO()
    picture.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
    return found.getvalue()


async def main() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place, Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        async with site_of(Path(place) / "night.db", receiver, CHANNELS) as site, chromium() as browser:
            site.store(*bad_night())
            for scheme in ("light", "dark"):
                await take(browser, site, scheme)


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main())
