"""What a person can do on the page in a browser."""

import asyncio
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.text.untrusted import encode_id
from tests.builders import notification
from tests.exploration import size
from tests.storage.raw_sql import run
from tests.ui.conftest import Serve, Site, Visit, Visiting, called
from tests.ui.rows import Stored

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "HTTP 503: " + "upstream connect error, reset before headers; " * 20 + "the end of it"
DEAD = re.compile("^dead$")


def row(page: Page, notification_id: str) -> Any:
    return page.locator(f'.list tr[data-id="{notification_id}"]')


async def open_dead(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}?view=dead")


async def open_all(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}?view=all")


async def test_a_dead_letter_can_be_found_read_and_requeued_and_is_then_shown_as_sent(
    site: Site, visit: Visit
) -> None:
    wanted, other = site.store(
        Stored(last_error=LONG, recipient="wanted"), Stored(recipient="other", age=timedelta(hours=2))
    )
    site.receiver.answers.clear()
    page = visit.page
    await open_dead(page, site)
    await expect(row(page, wanted)).to_contain_text("5 of 5 attempts")

    error = row(page, wanted).get_by_role("button", name="HTTP 503")
    assert "the end of it" not in await error.inner_text()
    await error.hover()
    await expect(page.get_by_role("tooltip")).to_have_text(LONG)
    await page.mouse.move(1, 1)
    await expect(page.get_by_role("tooltip")).to_be_hidden()

    await row(page, wanted).get_by_role("button", name="Requeue").click()
    await expect(row(page, wanted)).to_have_count(0)
    followed = page.get_by_role("list", name="Requeued just now").get_by_role("listitem")
    await expect(followed.locator(".badge")).to_have_text("pending")
    assert visit.calls("requeue_notification") == [{"id": wanted}]
    assert visit.calls("requeue_notifications") == []

    site.receiver.answers.set()
    await expect(followed.locator(".badge")).to_have_text("sent")
    await expect(page.get_by_role("status")).to_contain_text("Expiration warning to Webhook: sent.")
    await expect(row(page, other).locator(".badge")).to_have_text("dead")
    await page.get_by_role("tab", name="Notifications").click()
    await expect(row(page, wanted).locator(".badge")).to_have_text("sent")
    await row(page, wanted).get_by_role("button", name="Expiration warning", exact=True).click()
    steps = page.get_by_role("list", name="Attempts").get_by_role("listitem")
    await expect(steps.locator("strong")).to_have_text(["Accepted", "Requeued", "Delivered"])
    await expect(steps.nth(1)).to_contain_text("by http:anonymous")


async def test_the_whole_error_is_shown_on_focus_and_hidden_by_escape(site: Site, visit: Visit) -> None:
    (dead,) = site.store(Stored(last_error=LONG))
    page = visit.page
    await open_dead(page, site)
    await row(page, dead).get_by_role("button", name="Expiration warning", exact=True).focus()
    await page.keyboard.press("Tab")
    tip = page.get_by_role("tooltip")
    await expect(tip).to_have_text(LONG)
    assert await page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    await page.keyboard.press("Escape")
    await expect(tip).to_be_hidden()


async def test_a_late_response_never_appears_in_another_tab(site: Site, visit: Visit) -> None:
    (dead,) = site.store(Stored())
    (sent,) = site.store(Stored(status="sent"))
    page, release = visit.page, asyncio.Event()
    aborted: list[str] = []

    async def slow_for_all(route: Route) -> None:
        asked = called(route.request)
        if asked.get("name") == "list_notifications" and "status" not in asked["arguments"]:
            await release.wait()
        await route.continue_()

    def failed(request: Any) -> None:
        asked = called(request)
        if asked.get("name") == "list_notifications":
            aborted.append(json.dumps(asked["arguments"].get("status")))

    page.on("requestfailed", failed)
    await page.route("**/mcp", slow_for_all)
    await open_all(page, site)
    for _ in range(3):
        await page.get_by_role("tab", name="Dead letter").click()
        await page.get_by_role("tab", name="Notifications").click()
        await expect(row(page, dead)).to_have_count(0)
    await page.get_by_role("tab", name="Dead letter").click()
    await expect(row(page, dead)).to_be_visible()
    async with page.expect_response(lambda response: "/mcp" in response.url):
        release.set()
        site.store(Stored(message="something changes"))
    await expect(page.locator(".list tr[data-id]")).to_have_count(2)
    await expect(page.locator(".list .badge")).to_have_text([DEAD, DEAD])
    assert "null" in aborted

    await page.get_by_role("tab", name="Notifications").click()
    await expect(row(page, sent)).to_be_visible()


async def test_thousands_of_rows_can_be_scrolled_through(site: Site, visiting: Visiting) -> None:
    rows = size(1_000, 5_000)
    ids = site.store(*(Stored(age=timedelta(seconds=number)) for number in range(rows)))
    visit: Visit = await visiting(width=700, height=300)
    page = visit.page
    await open_dead(page, site)
    shown = page.locator("#shown")
    await expect(shown).to_have_text(f"100 of {rows:,} notifications")
    # As when the key is held down.
    await page.evaluate(
        """(all) => new Promise((done) => {
            const end = () => {
                scrollTo(0, document.documentElement.scrollHeight);
                if (document.querySelector("#shown").textContent.startsWith(all)) done();
                else requestAnimationFrame(end);
            };
            end();
        })""",
        f"{rows:,} ",
    )
    await row(page, ids[-1]).scroll_into_view_if_needed()
    await expect(row(page, ids[-1])).to_be_in_viewport()
    listed = await page.locator(".list tr[data-id]").evaluate_all("rows => rows.map(row => row.dataset.id)")
    assert listed == ids
    # Rows out of sight are not rendered.
    drawn = await page.locator(".list tr[data-id]").evaluate_all(
        "rows => rows.filter((row) => row.checkVisibility({ contentVisibilityAuto: true })).length"
    )
    assert 0 < drawn < 500


async def test_a_bulk_requeue_requires_confirmation(site: Site, visit: Visit) -> None:
    ids = site.store(*(Stored(age=timedelta(minutes=number)) for number in range(4)))
    page = visit.page
    await open_dead(page, site)
    for chosen in ids[:3]:
        await row(page, chosen).get_by_role("checkbox").check()
    bar = page.get_by_role("group", name="Selection")
    await expect(bar).to_contain_text("3 selected")
    await bar.get_by_role("button", name="Requeue").click()
    asked = page.get_by_role("alertdialog")
    await expect(asked).to_contain_text("Requeue 3 notifications?")
    await expect(asked).to_contain_text("Webhook3")
    await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(asked).to_be_hidden()
    await expect(page.locator(".list tr[data-id] .badge")).to_have_text([DEAD] * 4)
    (preview,) = visit.calls("requeue_notifications")
    assert sorted(preview["ids"]) == sorted(ids[:3])
    assert "confirmation" not in preview

    await bar.get_by_role("button", name="Requeue").click()
    await asked.get_by_role("button", name="Requeue 3").click()
    await expect(page.get_by_role("status")).to_contain_text("3 notifications requeued.")
    await expect(page.locator(".list tr[data-id]")).to_have_count(1)
    await expect(row(page, ids[3])).to_be_visible()
    await expect(bar).to_be_hidden()
    await page.get_by_role("tab", name="Notifications").click()
    await expect(page.locator(".list .badge.sent")).to_have_count(3)


async def test_all_matching_notifications_can_be_requeued_including_those_not_shown(
    site: Site, visit: Visit
) -> None:
    site.store(*(Stored(message="old" if number else "new") for number in range(250)))
    page = visit.page
    await open_dead(page, site)
    await page.get_by_role("searchbox").fill("old")
    await expect(page.locator("#shown")).to_contain_text("of 249 notifications")
    await page.get_by_role("checkbox", name="Select all that are shown").check()
    await page.get_by_role("button", name="Select all 249 that match").click()
    await page.get_by_role("button", name="Requeue…").click()
    await page.get_by_role("button", name="Requeue 249").click()
    await expect(page.get_by_role("status")).to_contain_text("249 notifications requeued.")
    assert "ids" not in visit.calls("requeue_notifications")[0]
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.locator(".list tr[data-id]")).to_have_count(1)


async def test_filters_limit_the_list(site: Site, visit: Visit) -> None:
    slack, revoked, sent, plain = site.store(
        Stored(channel="Slack"),
        Stored(type="Revocation"),
        Stored(status="sent", message="needle in it"),
        Stored(last_error="a needle of an error"),
    )
    page = visit.page
    await open_all(page, site)
    shown = page.locator(".list tr[data-id]")
    await expect(shown).to_have_count(4)
    await page.get_by_label("Channel", exact=True).select_option("Slack")
    await expect(shown).to_have_count(1)
    await expect(row(page, slack)).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_label("Type", exact=True).select_option("Revocation")
    await expect(shown).to_have_count(1)
    await expect(row(page, revoked)).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_role("searchbox").fill("NEEDLE")
    await expect(shown).to_have_count(2)
    await page.get_by_role("group", name="Status").get_by_role("button", name="sent").click()
    await expect(shown).to_have_count(1)
    await expect(row(page, sent)).to_be_visible()
    await page.get_by_role("tab", name="Dead letter").click()
    await expect(shown).to_have_count(1)
    await expect(row(page, plain)).to_be_visible()
    await page.get_by_role("searchbox").fill("nowhere")
    await expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


async def test_a_view_can_be_reloaded_linked_to_and_returned_to(site: Site, visit: Visit) -> None:
    slack, webhook = site.store(Stored(channel="Slack"), Stored(channel="Webhook", status="sent"))
    page = visit.page
    await open_all(page, site)
    shown = page.locator(".list tr[data-id]")
    await expect(shown).to_have_count(2)
    await page.get_by_role("tab", name="Dead letter").click()
    await page.get_by_label("Channel", exact=True).select_option("Slack")
    await expect(page).to_have_url(f"{site.url}?view=dead&channel=Slack")
    await page.reload()
    await expect(page.get_by_role("tab", name="Dead letter")).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_label("Channel", exact=True)).to_have_value("Slack")
    await expect(row(page, slack)).to_be_visible()
    await page.go_back()
    await expect(page).to_have_url(f"{site.url}?view=all")
    await expect(page.get_by_role("tab", name="Notifications")).to_have_attribute("aria-selected", "true")
    await expect(shown).to_have_count(2)
    await page.goto(f"{site.url}?status=sent&channel=Webhook&text=expires")
    await expect(row(page, webhook)).to_be_visible()
    await expect(shown).to_have_count(1)
    await expect(page.get_by_role("searchbox")).to_have_value("expires")
    await page.get_by_label("Created", exact=True).select_option("Last 7 days")
    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_label("Created", exact=True).select_option("Last hour")
    await page.get_by_label("Order").select_option("Oldest first")
    await expect(page).to_have_url(f"{site.url}?view=all&created_after=1h&order=oldest")


async def test_the_link_in_a_message_opens_its_notification(site: Site, visit: Visit) -> None:
    stored = Stored(id="17 %41&", message="the whole message")
    sent = notification(id=stored.id, message=stored.message)
    link = ContentWriter(public_url=site.url).content(sent).link
    assert link is not None
    site.store(stored, Stored())
    page = visit.page
    await page.goto(link)
    details = page.get_by_role("dialog", name="Expiration warning")
    await expect(details).to_contain_text("the whole message")
    await page.keyboard.press("Escape")
    await expect(details).to_be_hidden()
    await page.get_by_role("tab", name="Notifications").click()
    await expect(page).to_have_url(f"{site.url}?view=all")
    await row(page, encode_id(stored.id)).get_by_role("button", name="Expiration warning", exact=True).click()
    await page.reload()
    await expect(details).to_contain_text("the whole message")
    await page.go_back()
    await expect(details).to_be_hidden()
    await expect(page).to_have_url(f"{site.url}?view=all")
    await page.goto(f"{site.url}?notification=unknown")
    await expect(page.get_by_role("dialog", name="Notification")).to_contain_text("Could not load: ")


async def test_the_link_in_a_message_waits_for_the_key(serve: Serve, visiting: Visiting) -> None:
    site: Site = await serve(CERTCTL_API_KEYS_NAMED="alice:key-of-alice")
    (dead,) = site.store(Stored(message="the whole message"))
    visit: Visit = await visiting()
    page = visit.page
    await page.goto(f"{site.url}n/{dead}")
    await page.get_by_label("API key").fill("key-of-alice")
    await page.keyboard.press("Enter")
    details = page.get_by_role("dialog", name="Expiration warning")
    await expect(details).to_contain_text("the whole message")
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said]


async def test_notifications_are_grouped_by_certificate(site: Site, visit: Visit) -> None:
    site.store(
        Stored(certificate_id="mc-api"),
        Stored(certificate_id="mc-mail", age=timedelta(hours=2)),
        Stored(certificate_id="mc-api", age=timedelta(days=1)),
        Stored(age=timedelta(days=2)),
    )
    page = visit.page
    await open_all(page, site)
    await page.get_by_role("button", name="By certificate").click()
    groups = page.get_by_role("rowheader")
    await expect(groups).to_have_text(
        ["mc-api2 notifications", "mc-mail1 notification", "No certificate1 notification"]
    )
    await page.get_by_role("checkbox", name="Select all of mc-api").check()
    await expect(page.get_by_role("group", name="Selection")).to_contain_text("2 selected")


async def test_the_attempts_are_shown_as_a_timeline(site: Site, visit: Visit) -> None:
    attempts = (("failed", "timed out"), ("failed", "timed out"), ("dead", "HTTP 410: gone"))
    (dead,) = site.store(Stored(attempts=attempts, certificate_id="mc-api", message="the whole message"))
    run(site.database, "UPDATE notification_events SET origin_id = 'notif-7'")
    page = visit.page
    await open_dead(page, site)
    opener = row(page, dead).get_by_role("button", name="Expiration warning", exact=True)
    await opener.click()
    details = page.get_by_role("dialog", name="Expiration warning")
    await expect(details).to_contain_text("In place ofnotif-7")
    # The timeline shows the past; the text says only what comes next.
    await expect(details).to_contain_text("It is a dead letter: 5 of 5 attempts failed.")
    await expect(details).not_to_contain_text("Attempts 1 to 2")
    steps = details.get_by_role("list", name="Attempts").get_by_role("listitem")
    await expect(steps).to_have_count(4)
    await expect(steps.locator("strong")).to_have_text(["Accepted", "Failed", "Failed", "Failed permanently"])
    await expect(steps.locator(".step-error")).to_have_text(
        ["timed out", "The same error.", "HTTP 410: gone"]
    )
    await expect(details).to_contain_text("the whole message")
    await page.keyboard.press("Escape")
    await expect(details).to_be_hidden()
    await expect(opener).to_be_focused()


async def test_only_what_was_refused_is_called_so(site: Site, visit: Visit) -> None:
    nobody = "no notifier configured for channel Fax; not delivered"
    gone, fewer, skipped = site.store(
        Stored(retry_count=0, last_error="HTTP 410: gone"),
        # Another process allows three attempts.
        Stored(retry_count=2),
        Stored(retry_count=0, channel="Fax", last_error=nobody),
    )
    page = visit.page
    await open_all(page, site)
    await expect(row(page, gone)).to_contain_text("Refused permanently")
    await expect(row(page, fewer)).to_contain_text("3 of 3 attempts")
    await expect(row(page, skipped)).to_contain_text("channel was not configured")


async def test_changes_appear_automatically(site: Site, visit: Visit) -> None:
    site.store(Stored(age=timedelta(days=1)))
    page = visit.page
    await open_dead(page, site)
    await expect(page.locator("#link-text")).to_have_text("Live")
    await expect(page.locator(".list tr[data-id]")).to_have_count(1)
    await expect(page.locator("#count-dead")).to_have_text("1")
    (new,) = site.store(Stored())
    await expect(row(page, new)).to_be_visible()
    await expect(page.locator(".list tr[data-id]").first).to_have_attribute("data-id", new)
    await expect(page.locator("#count-dead")).to_have_text("2")
    await expect(page.get_by_role("status")).to_contain_text("1 new dead letter.")


async def test_the_numbers_and_the_chart_show_how_deliveries_went(site: Site, visit: Visit) -> None:
    site.store(
        Stored(attempts=(("failed", "HTTP 503"), ("dead", "HTTP 410"))),
        Stored(status="sent", attempts=(("sent", None),)),
        Stored(status="sent", error="no notifier configured for channel X; not delivered"),
    )
    page = visit.page
    await open_all(page, site)
    figures = page.locator("#figures")
    await expect(figures).to_contain_text("Dead letters1")
    await expect(figures).to_contain_text("Sent21 not delivered")
    line = "alerts of the last 24 hours: 1 delivered, 1 dead, 1 without a notifier (3 attempts)"
    await expect(page.locator("#deliveries-line")).to_have_text(line)
    await page.get_by_text("Deliveries", exact=True).click()
    chart = page.get_by_role("img", name="1 delivered, 1 failed and retried, 1 became dead letters")
    await expect(chart).to_be_visible()
    await expect(chart.locator(".bar")).to_have_count(3)
    await expect(page.get_by_role("row", name="Webhook 3 33.3%")).to_be_visible()


async def test_a_channel_can_be_paused_with_a_reason_resumed_and_tested(site: Site, visit: Visit) -> None:
    site.store(Stored())
    page = visit.page
    await page.goto(f"{site.url}?view=channels")
    webhook = page.locator('[data-channel="Webhook"]')
    await expect(webhook).to_contain_text("1 process delivers over it.")
    await page.get_by_role("button", name="Pause Webhook").click()
    dialog = page.get_by_role("dialog", name="Pause Webhook?")
    await dialog.get_by_label("For").select_option("4 hours")
    await dialog.get_by_label("Reason").fill("moving house")
    await dialog.get_by_role("button", name="Pause", exact=True).click()
    await expect(dialog).to_be_hidden()
    await expect(webhook).to_contain_text("moving house")
    await expect(webhook.locator(".state")).to_have_text("paused")
    assert visit.calls("pause_channel") == [{"channel": "Webhook", "until": "4h", "reason": "moving house"}]
    # Anything requeued now would wait, and the page says so beforehand.
    await page.get_by_role("tab", name="Dead letter").click()
    await page.get_by_role("button", name="Requeue Expiration warning").click()
    await expect(page.get_by_role("alertdialog")).to_contain_text("Webhook is paused until")
    await page.get_by_role("button", name="Cancel").click()
    assert visit.calls("requeue_notification") == []

    await page.get_by_role("tab", name="Channels").click()
    await page.get_by_role("button", name="Resume Webhook").click()
    await expect(webhook).not_to_contain_text("moving house")
    await page.get_by_role("button", name="Test Webhook").click()
    await page.get_by_role("button", name="Send test").click()
    await expect(page.get_by_role("dialog", name="Test Webhook")).to_contain_text("Delivered in")


async def test_the_audit_log_can_be_viewed(site: Site, visit: Visit) -> None:
    (dead,) = site.store(Stored())
    page = visit.page
    await open_dead(page, site)
    await page.get_by_role("button", name="Requeue Expiration warning").click()
    await page.get_by_role("tab", name="Audit").click()
    await expect(page).to_have_url(f"{site.url}?view=audit")
    entry = page.get_by_role("table", name="Audit log").get_by_role("row").filter(has_text=dead)
    await expect(entry).to_contain_text("requeued")
    await entry.get_by_role("button", name=dead).click()
    await expect(page.get_by_role("dialog")).to_contain_text("Requeued")
    await page.go_back()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.reload()
    await expect(entry).to_be_visible()


async def test_while_there_are_dead_letters_the_page_opens_on_the_causes(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto(site.url)
    await expect(page.get_by_role("tab", name="Notifications")).to_have_attribute("aria-selected", "true")
    down = ("failed", "connection to hook.example.com:443 failed: Connection refused")
    again = Stored(age=timedelta(minutes=5), status="sent", attempts=(("sent", None),))
    gone = "hooks.slack.com answered 404: no_service"
    site.store(
        *(Stored(attempts=(down,), last_error=down[1], age=timedelta(hours=number)) for number in (1, 2)),
        Stored(channel="Slack", last_error=gone, attempts=(("dead", gone),)),
        again,
    )
    await page.reload()
    await expect(page.get_by_role("tab", name="Causes")).to_have_attribute("aria-selected", "true")
    await expect(page).to_have_title("(3) Notifications · certctl")
    webhook = page.locator('.cause[data-channel="Webhook"]')
    await expect(webhook).to_contain_text("2 dead")
    await expect(webhook.locator(".state")).to_contain_text("delivering again")
    slack = page.locator('.cause[data-channel="Slack"]')
    await expect(slack.get_by_role("heading")).to_have_text("Slack: destination gone or moved")

    await webhook.get_by_role("button", name="Show them").click()
    await expect(page).to_have_url(f"{site.url}?view=dead&channel=Webhook")
    await expect(page.locator(".list tr[data-id]")).to_have_count(2)
    await page.go_back()
    await slack.get_by_role("button", name="Settle 1").click()
    asked = page.get_by_role("alertdialog")
    await expect(asked).to_contain_text("Settle 1 notification?")
    await asked.get_by_role("button", name="Settle 1").click()
    await expect(page.get_by_role("status")).to_contain_text("1 notification settled.")
    await expect(slack).to_have_count(0)
    await webhook.get_by_role("button", name="Requeue 2").click()
    await asked.get_by_role("button", name="Requeue 2").click()
    await expect(page.get_by_text("Nothing failed.")).to_be_visible()
    await expect(page).to_have_title("Notifications · certctl")


async def test_a_requeue_for_a_channel_that_still_fails_requires_confirmation(
    site: Site, visit: Visit
) -> None:
    (dead,) = site.store(Stored(attempts=(("dead", "HTTP 503"),)))
    page = visit.page
    await open_dead(page, site)
    await expect(page.locator("#link-text")).to_have_text("Live")
    await row(page, dead).get_by_role("button", name="Requeue").click()
    asked = page.get_by_role("alertdialog")
    await expect(asked).to_contain_text("Webhook is still failing: its newest attempt failed")
    await asked.get_by_role("button", name="Cancel").click()
    await expect(row(page, dead).get_by_role("button", name="Requeue")).to_be_enabled()
    await row(page, dead).get_by_role("button", name="Requeue").click()
    await asked.get_by_role("button", name="Requeue", exact=True).click()
    await expect(row(page, dead)).to_have_count(0)
    assert visit.calls("requeue_notification") == [{"id": dead}]


async def test_rows_can_be_sorted_navigated_by_keyboard_and_opened_by_a_click(
    site: Site, visit: Visit
) -> None:
    new, old = site.store(
        Stored(message="the new one"), Stored(message="the old one", age=timedelta(hours=2))
    )
    page = visit.page
    await open_all(page, site)
    rows = page.locator(".list tr[data-id]")
    await expect(rows.first).to_have_attribute("data-id", new)
    await page.get_by_role("columnheader", name="Created").get_by_role("button").click()
    await expect(rows.first).to_have_attribute("data-id", old)
    await expect(page.get_by_role("columnheader", name="Created")).to_have_attribute("aria-sort", "ascending")
    await page.locator("#panel").focus()
    focused = "document.activeElement.closest('tr').dataset.id"
    for key, expected in (("j", old), ("j", new), ("k", old)):
        await page.keyboard.press(key)
        assert await page.evaluate(focused) == expected
    # Tab reaches only the controls of one row.
    assert await row(page, new).locator('[tabindex="0"]').count() == 0
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await row(page, new).locator(".message").click()
    details = page.get_by_role("dialog", name="Expiration warning")
    await expect(details).to_contain_text("the new one")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await details.get_by_role("button", name="Copy link").click()
    await expect(page.get_by_role("status")).to_contain_text("The link is copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == f"{site.url}n/{new}"


async def test_times_are_local_with_utc_on_hover(site: Site, browser: Browser) -> None:
    (retried,) = site.store(
        Stored(status="failed", next_in=timedelta(minutes=9), attempts=(("failed", "x"),))
    )
    context = await browser.new_context(timezone_id="Asia/Tokyo")
    page = await context.new_page()
    await page.goto(f"{site.url}n/{retried}")
    details = page.locator("#details")
    await expect(details).to_contain_text("Times in GMT+9")
    # In the outlook, the facts and the timeline.
    shown = details.locator("time[data-fixed]")
    for at in range(await shown.count()):
        local, utc, moment = await shown.nth(at).evaluate(
            "shown => [shown.textContent, shown.title, shown.dateTime]"
        )
        there = datetime.fromisoformat(moment) + timedelta(hours=9)
        assert local == f"{there.day} {there:%b %Y, %H:%M:%S}"
        assert utc == f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"
    assert "UTC" not in await details.inner_text()
    await context.close()


async def test_the_tabs_can_be_navigated_by_keyboard(site: Site, visit: Visit) -> None:
    site.store(Stored())
    page = visit.page
    await open_all(page, site)
    await page.get_by_role("tab", name="Notifications").focus()
    await page.keyboard.press("ArrowRight")
    dead = page.get_by_role("tab", name="Dead letter")
    await expect(dead).to_be_focused()
    await expect(dead).to_have_attribute("aria-selected", "true")
    await expect(page.get_by_role("tabpanel", name="Dead letter")).to_be_visible()
    requeue = page.get_by_role("button", name="Requeue Expiration warning")
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await requeue.evaluate("button => button === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No dead letters.")).to_be_visible()
    await expect(page.locator("#list")).to_be_focused()


@pytest.mark.parametrize("width", [320, 768])
async def test_nothing_is_cut_off_in_a_narrow_window(site: Site, visiting: Visiting, width: int) -> None:
    site.store(Stored(last_error=LONG, channel="C" * 60, recipient="r" * 200, certificate_id="c" * 200))
    visit: Visit = await visiting(width=width, height=600)
    page = visit.page
    await open_dead(page, site)
    await expect(page.get_by_role("button", name="Requeue Expiration warning")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    requeue = page.get_by_role("button", name="Requeue Expiration warning")
    box = await requeue.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= width


async def test_a_user_with_a_key_can_sign_in(serve: Serve, visiting: Visiting) -> None:
    keys = "alice:key-of-alice,eve:key-of-eve:read-only"
    site: Site = await serve(CERTCTL_API_KEYS_NAMED=keys)
    (dead,) = site.store(Stored())
    visit: Visit = await visiting()
    page = visit.page
    await open_dead_signed_out(page, site)
    key = page.get_by_label("API key")
    await key.fill("wrong")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Sign in")
    await expect(dialog.get_by_role("alert")).to_have_text("This key is not accepted.")
    await expect(dialog).to_be_visible()
    # A typo costs one request: after ten of them an address is blocked.
    tried = [request.headers.get("authorization") for request in visit.asked]
    assert tried.count("Bearer wrong") == 1
    assert len([request for request in visit.asked if request.method == "POST"]) == 2
    await key.fill("key-of-alice")
    await page.keyboard.press("Enter")
    await page.get_by_role("tab", name="Dead letter").click()
    await expect(row(page, dead).locator(".badge")).to_have_text("dead")
    await expect(row(page, dead).get_by_role("button", name="Requeue")).to_be_visible()
    await expect(page.locator("#deliveries-line")).to_contain_text("24 hours")
    await page.reload()
    await expect(row(page, dead)).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(row(page, dead)).to_have_count(0)
    assert await page.evaluate("Object.keys(sessionStorage).length + Object.keys(localStorage).length") == 0
    await key.fill("key-of-eve")
    await page.keyboard.press("Enter")
    await expect(row(page, dead)).to_be_visible()
    await expect(page.get_by_role("button", name="Requeue")).to_have_count(0)
    # The browser's own messages about the responses that require a key.
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said]


async def test_a_browser_stays_signed_in_until_it_signs_out(serve: Serve, visiting: Visiting) -> None:
    site: Site = await serve(CERTCTL_API_KEYS_NAMED="alice:key-of-alice")
    (dead,) = site.store(Stored())
    visit: Visit = await visiting()
    page = visit.page
    await open_dead(page, site)
    await page.get_by_label("API key").fill("key-of-alice")
    await page.get_by_label("Stay signed in").check()
    await page.keyboard.press("Enter")
    await expect(row(page, dead)).to_be_visible()
    stored = await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")
    assert "key-of-alice" not in stored
    other = await page.context.new_page()
    await open_dead(other, site)
    await expect(row(other, dead)).to_be_visible()
    await other.get_by_role("button", name="Sign out").click()
    await expect(other.get_by_role("dialog", name="Sign in")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said]


async def test_a_caller_with_permission_can_delete_selected_notifications(
    serve: Serve, visiting: Visiting
) -> None:
    site: Site = await serve(
        CERTCTL_API_KEYS_NAMED="ada:key-of-ada:admin", CERTCTL_MCP_TOOLS="triage,requeue,settle,purge"
    )
    chosen, kept = site.store(Stored(), Stored(age=timedelta(hours=2)))
    visit: Visit = await visiting()
    page = visit.page
    await open_dead(page, site)
    await page.get_by_label("API key").fill("key-of-ada")
    await page.keyboard.press("Enter")
    await row(page, chosen).get_by_role("checkbox").check()
    await page.get_by_role("group", name="Selection").get_by_role("button", name="Delete…").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete 1").click()
    await expect(row(page, chosen)).to_have_count(0)
    await expect(row(page, kept)).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("1 notification deleted.")
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said]


async def test_after_too_many_wrong_keys_the_page_waits(serve: Serve, visiting: Visiting) -> None:
    site: Site = await serve(CERTCTL_API_KEYS_NAMED="alice:key-of-alice")
    visit: Visit = await visiting()
    page = visit.page
    await open_dead_signed_out(page, site)
    await page.route("**/mcp", lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}))
    await page.get_by_label("API key").fill("key-of-alice")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Sign in")
    await expect(dialog.get_by_role("alert")).to_have_text("Too many attempts; try again in 30 s.")
    await expect(dialog.get_by_role("button", name="Sign in")).to_be_disabled()
    await expect(dialog.get_by_role("alert")).to_have_text("Too many attempts; try again in 29 s.")
    visit.complaints[:] = [said for said in visit.complaints if "401" not in said and "429" not in said]


async def open_dead_signed_out(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


async def test_the_page_recovers_when_the_network_does(site: Site, visit: Visit) -> None:
    site.store(Stored())
    page = visit.page
    await open_all(page, site)
    await expect(page.locator("#link-text")).to_have_text("Live")
    await page.context.set_offline(True)
    await page.get_by_role("searchbox").fill("expires")
    await expect(page.get_by_role("alert")).to_contain_text("No response: the server can't be reached.")
    await page.context.set_offline(False)
    (new,) = site.store(Stored())
    await expect(row(page, new)).to_be_visible()
    visit.complaints[:] = [said for said in visit.complaints if "ERR_INTERNET_DISCONNECTED" not in said]


async def test_the_page_sends_requests_only_to_its_own_server(site: Site, visit: Visit) -> None:
    site.store(Stored())
    page = visit.page
    await page.goto(site.url)
    await expect(page.locator("#link-text")).to_have_text("Live")
    assert {request.url.startswith(site.url) for request in visit.asked} == {True}
    paths = {request.url.removeprefix(site.url) for request in visit.asked}
    assert paths <= {"", "ui/page.css", "ui/page.js", "ui/icon.svg", "mcp"}
