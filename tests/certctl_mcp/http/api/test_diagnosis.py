"""The causes of dead letters over REST."""

from datetime import timedelta
from typing import Any

import pytest

from tests.builders import Queue
from tests.certctl_mcp.http.conftest import OPERATOR, READER, Served

PATH = "/api/v1/diagnosis"


async def diagnosed(served: Served, query: str = "") -> dict[str, Any]:
    async with served.client(READER) as client:
        answered = await client.get(f"{PATH}{query}")
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_each_cause_says_what_failed_and_what_to_do(served: Served, queue: Queue) -> None:
    dead = await queue.dead("HTTP 401 token=hunter22")
    await queue.dead("HTTP 401 token=hunter22")
    await queue.failed("HTTP 503", channel="Slack")
    found = await diagnosed(served)
    assert (found["dead"], found["failing"], found["undelivered"]) == (2, 1, 0)
    (refused, unavailable) = found["causes"]
    assert (refused["channel"], refused["kind"], refused["dead"]) == ("Webhook", "credentials", 2)
    assert (refused["requeue"]["channel"], refused["requeue_count"]) == ("Webhook", 2)
    assert refused["first_at"] == refused["last_at"] == "2026-01-01T12:00:00Z"
    assert refused["cause"]
    assert refused["action"]
    assert refused["sample_id"] == dead.id
    assert "hunter22" not in refused["sample_error"]
    assert (unavailable["channel"], unavailable["dead"], unavailable["failing"]) == ("Slack", 0, 1)


async def test_the_recommended_action_names_a_rest_route(served: Served, queue: Queue) -> None:
    await queue.dead("something odd")
    (cause,) = (await diagnosed(served))["causes"]
    assert cause["action"] == "see the sample with GET /api/v1/notifications/{id}"


@pytest.mark.parametrize(
    "query",
    [
        "channel=Slack",
        "type=Revocation",
        "certificate_id=mc-9",
        "recipient=ops",
        "text=NEEDLE",
        "created_from=30m",
        "created_from=2026-01-01T12:30:00Z&created_until=now&channel=",
    ],
)
async def test_each_filter_selects_notifications(served: Served, queue: Queue, query: str) -> None:
    await queue.dead()
    queue.clock.advance(timedelta(hours=1))
    meant = await queue.dead(
        channel="Slack", type="Revocation", certificate_id="mc-9", recipient="ops", message="a needle"
    )
    queue.clock.advance(timedelta(seconds=1))
    found = await diagnosed(served, f"?{query}")
    assert ([cause["sample_id"] for cause in found["causes"]], found["dead"]) == ([meant.id], 1)


async def test_notifications_still_being_retried_can_be_excluded(served: Served, queue: Queue) -> None:
    await queue.failed()
    found = await diagnosed(served, "?include_failing=false")
    assert (found["failing"], found["causes"]) == (0, [])


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("include_failing=perhaps", 400, "include_failing: must be a valid boolean"),
        ("urgency=soon", 400, "urgency: must be"),
        ("created_from=recently", 422, "created_from: 'recently' is not a point in time"),
        ("channel=Webhok", 422, "did you mean 'Webhook'?"),
    ],
)
async def test_an_invalid_filter_is_refused(served: Served, query: str, status: int, problem: str) -> None:
    async with served.client(READER) as client:
        refused = await client.get(f"{PATH}?{query}")
    assert refused.status_code == status
    assert problem in refused.json()["message"]


async def test_the_recommended_requeue_is_accepted_by_its_route(served: Served, queue: Queue) -> None:
    dead = await queue.dead("HTTP 401")
    queue.clock.advance(timedelta(hours=1))
    await queue.dead("HTTP 503")
    (cause,) = (one for one in (await diagnosed(served))["causes"] if one["sample_id"] == dead.id)
    async with served.client(OPERATOR) as client:
        preview = (await client.post("/api/v1/notifications/requeue", json=cause["requeue"])).json()
    assert preview["would_change"] == cause["requeue_count"]
