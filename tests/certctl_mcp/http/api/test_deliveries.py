"""The report on deliveries over REST."""

from datetime import timedelta

import pytest

from tests.builders import Queue
from tests.certctl_mcp.http.conftest import READER, Served

PATH = "/api/v1/stats/deliveries"


async def test_the_report_counts_the_alerts_and_attempts_of_its_period(served: Served, queue: Queue) -> None:
    await queue.dead()
    queue.clock.advance(timedelta(days=2))
    await queue.sent()
    await queue.failed(channel="Slack")
    await queue.skipped()
    queue.clock.advance(timedelta(minutes=1))
    async with served.client(READER) as client:
        report = (await client.get(PATH)).json()
        older = (await client.get(f"{PATH}?since=2026-01-01&until=2026-01-02")).json()
    assert (report["since"], report["until"]) == ("2026-01-02T12:01:00Z", "2026-01-03T12:01:00Z")
    assert report["alerts"] == {"delivered": 1, "trying": 1, "dead": 0, "undelivered": 1, "settled": 0}
    overall = report["overall"]
    counted = ("attempts", "delivered", "failed", "skipped", "died")
    assert [overall[name] for name in counted] == [3, 1, 1, 1, 0]
    assert overall["median_seconds"] == overall["p95_seconds"] == 0.26
    shown = [(each["channel"], each["attempts"]) for each in report["channels"]]
    assert shown == [("Webhook", 2), ("Slack", 1)]
    assert "median_seconds" not in report["channels"][1]
    assert (older["alerts"]["dead"], older["overall"]["died"]) == (1, 1)


async def test_an_unchanged_report_is_not_sent_again(served: Served, queue: Queue) -> None:
    await queue.sent()
    queue.clock.advance(timedelta(seconds=1))
    async with served.client(READER) as client:
        first = await client.get(PATH)
        queue.clock.advance(timedelta(seconds=1))
        again = await client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("since=recently", "since: 'recently' is not a point in time"),
        ("since=1h&until=2h", "since: must be before the end"),
        ("since=2027-01-01", "since: must be in the past"),
        ("since=500d", "since: must be at most 366d before the end"),
    ],
)
async def test_an_invalid_period_is_refused(served: Served, query: str, problem: str) -> None:
    async with served.client(READER) as client:
        refused = await client.get(f"{PATH}?{query}")
    assert refused.status_code == 422
    assert problem in refused.json()["message"]
