"""`delivery_report`: how deliveries went over a period."""

import base64
import io
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, ImageContent, TextContent
from PIL import Image

from certctl_mcp.mcp_server.tools.delivery_report import MAX_CHANNELS
from tests.builders import TOOK, WAIT, Queue, SettableClock
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant
from tests.storage.raw_sql import connected
from tests.tokens import tokens


async def report(assistant: Assistant, clock: SettableClock, **arguments: Any) -> dict[str, Any]:
    """A minute later: the present moment is not in the period."""
    clock.advance(WAIT)
    return await assistant.call("delivery_report", **arguments)


async def test_a_period_without_attempts_says_so(assistant: Assistant) -> None:
    assert await assistant.call("delivery_report") == {
        "since": "2025-12-31T12:00:00Z",
        "until": "2026-01-01T12:00:00Z",
        "note": "No attempt began in this period.",
        "alerts": {},
        "all": {"attempts": 0},
        "channels": [],
    }


async def test_the_report_has_figures_overall_and_for_each_channel(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed(channel="Slack")
    clock.advance(timedelta(seconds=61.234))
    await queue.repository.record_sent(await queue.claim(failed.id), TOOK)
    await queue.dead(channel="Teams")
    told = await report(assistant, clock)
    assert "note" not in told
    assert told["alerts"] == {"delivered": 1, "dead": 1}
    assert told["all"] == {
        "attempts": 3,
        "delivered": 1,
        "success_rate": 0.333,
        "retries": 1,
        "failed": 1,
        "died": 1,
        "median_seconds": 60.0,
        "p95_seconds": 60.0,
    }
    slack, teams = told["channels"]
    assert slack["untrusted"] == {"channel": "Slack"}
    assert (slack["attempts"], slack["delivered"], slack["success_rate"]) == (2, 1, 0.5)
    assert teams == {
        "attempts": 1,
        "delivered": 0,
        "success_rate": 0.0,
        "died": 1,
        "untrusted": {"channel": "Teams"},
    }


async def test_skipped_notifications_do_not_count_as_delivered(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await queue.skipped()
    told = await report(assistant, clock)
    assert told["all"] == {"attempts": 1, "delivered": 0, "success_rate": 0.0, "skipped": 1}


async def test_abandoned_attempts_are_reported(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await queue.abandoned()
    told = await report(assistant, clock)
    assert told["all"] == {"attempts": 1, "delivered": 0, "success_rate": 0.0, "abandoned": 1}


async def test_the_success_rate_is_1_only_if_everything_was_delivered(
    assistant: Assistant, queue: Queue, clock: SettableClock, database_path: Path
) -> None:
    await queue.sent()
    with connected(database_path) as other:
        other.execute(
            "WITH RECURSIVE counter(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counter WHERE n < 5000) "
            "INSERT INTO notification_attempts "
            "(notification_id, number, started_at, outcome, worker, channel) "
            "SELECT notification_id, n, started_at, 'sent', worker, channel "
            "FROM notification_attempts, counter"
        )
    assert (await report(assistant, clock))["all"]["success_rate"] == 1.0
    await queue.failed()
    assert (await report(assistant, clock))["all"]["success_rate"] == 0.999


async def test_a_period_can_end_in_the_past(assistant: Assistant, queue: Queue, clock: SettableClock) -> None:
    await queue.sent()
    clock.advance(timedelta(days=10))
    told = await assistant.call("delivery_report", period="7d", until="7d")
    assert (told["since"], told["until"]) == ("2025-12-28T12:00:00Z", "2026-01-04T12:00:00Z")
    assert told["all"]["attempts"] == 1
    told = await assistant.call("delivery_report", period="1h", until="2026-01-01T14:00:00+01:00")
    assert (told["until"], told["all"]["attempts"]) == ("2026-01-01T13:00:00Z", 1)
    assert (await assistant.call("delivery_report", period="7d"))["all"]["attempts"] == 0


async def test_a_period_can_end_later_today(assistant: Assistant, queue: Queue) -> None:
    await queue.sent()
    told = await assistant.call("delivery_report", until="2026-01-02")
    assert told["all"]["attempts"] == 1


@pytest.mark.parametrize("period", ["1s", "90m", "1h30m", "366d", " 24h "])
async def test_periods_from_a_second_to_a_year_are_reported(assistant: Assistant, period: str) -> None:
    assert (await assistant.call("delivery_report", period=period))["all"] == {"attempts": 0}


@pytest.mark.parametrize("period", ["24", "0s", "-1h", "367d", "a day", "1y", "9" * 5000 + "d", "24h later"])
async def test_the_error_for_an_invalid_period_says_what_is_allowed(
    assistant: Assistant, period: str
) -> None:
    why = await assistant.refused("delivery_report", period=period)
    assert why.startswith(f"period: '{period[:60]}'")
    assert why.endswith(" is not a period; give a duration such as 90m, 24h or 7d, from 1s to 366d")
    assert len(why) < 200


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("last week", "until: 'last week' is not a point in time; give ISO 8601 such as"),
        (
            "2026-01-02T12:00:00Z",
            "until: the 1d before 2026-01-02T12:00:00Z is in the future; it is now 2026-01-01",
        ),
        ("9999-12-31", "is in the future"),
        ("0001-01-01T00:00", "until: there is no moment 1d before 0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00+14:00", "is not a point in time"),
    ],
)
async def test_an_end_that_leaves_nothing_to_report_is_refused(
    assistant: Assistant, until: str, why: str
) -> None:
    assert why in await assistant.refused("delivery_report", until=until)


async def test_six_channels_cost_few_tokens(assistant: Assistant, queue: Queue, clock: SettableClock) -> None:
    for channel in ("Email", "Webhook", "Slack", "Teams", "PagerDuty", "OpsGenie"):
        await queue.failed(channel=channel)
        await queue.dead(channel=channel)
        await queue.skipped(channel=channel)
        for seconds in (1, 2):
            waiting = await queue.pending(channel=channel)
            clock.advance(timedelta(seconds=seconds + 0.123))
            await queue.repository.record_sent(await queue.claim(waiting.id), TOOK)
    clock.advance(WAIT)
    text = await assistant.text("delivery_report")
    assert len(json.loads(text)["channels"]) == 6
    assert tokens(text) <= 500


async def test_of_very_many_channels_the_busiest_are_reported(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    for number in range(MAX_CHANNELS + 3):
        await queue.sent(channel=f"channel {number}")
    await queue.sent(channel="busiest")
    await queue.sent(channel="busiest")
    told = await report(assistant, clock)
    assert len(told["channels"]) == MAX_CHANNELS
    assert told["more_channels"] == 4
    assert told["channels"][0]["untrusted"] == {"channel": "busiest"}


async def drawn(assistant: Assistant, **arguments: Any) -> CallToolResult:
    return await assistant.client.call_tool("delivery_report", {"chart": True, **arguments})


async def test_a_requested_chart_is_returned_with_the_numbers_as_one_small_picture(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await queue.sent()
    await queue.dead()
    clock.advance(WAIT)
    result = await drawn(assistant)
    text, picture = result.content
    assert isinstance(text, TextContent)
    assert isinstance(picture, ImageContent)
    # Hosts that show only one of the two show everything.
    assert result.structured_content is None
    report = json.loads(text.text)
    lines = report.pop("chart").splitlines()
    assert report == await assistant.call("delivery_report")
    assert lines[0] == "Attempts per 1h by start, UTC: # delivered, D dead"
    assert sum("#" in line and "D" in line for line in lines[1:]) == 1
    assert picture.mime_type == "image/png"
    png = base64.b64decode(picture.data)
    assert len(png) < 20_000
    assert Image.open(io.BytesIO(png)).format == "PNG"


async def test_without_the_extra_the_chart_is_text_only(
    assistant: Assistant, queue: Queue, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    await queue.sent()
    clock.advance(WAIT)
    result = await drawn(assistant)
    assert len(result.content) == 1
    assert "# delivered" in (result.structured_content or {})["chart"]


async def test_an_empty_period_has_no_picture(assistant: Assistant) -> None:
    result = await drawn(assistant)
    assert len(result.content) == 1


async def test_a_picture_shows_the_last_second_of_the_longest_period(
    assistant: Assistant, queue: Queue, clock: SettableClock
) -> None:
    await queue.sent()
    clock.advance(timedelta(days=366))
    result = await drawn(assistant, period="366d")
    assert len(result.content) == 2


def test_a_server_starts_without_the_libraries_that_draw_and_trace() -> None:
    modules = "certctl_mcp.mcp_server.server, certctl_mcp.runtime.application"
    loaded = f"import sys, {modules}; print(sys.modules.keys() & {{'PIL', 'opentelemetry.sdk'}})"
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
