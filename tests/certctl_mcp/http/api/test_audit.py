"""The audit log over REST: all of it, or the entries of one notification."""

from datetime import timedelta
from typing import Any

import pytest

from storage.models import NotificationStatus
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import ADMIN, OPERATOR, READER, Served

AUDIT = "/api/v1/audit"
LIST = "/api/v1/notifications"


async def looked_up(served: Served, query: str = "") -> list[dict[str, Any]]:
    async with served.client(READER) as client:
        answered = await client.get(f"{AUDIT}{query}")
    assert answered.status_code == 200, answered.text
    entries: list[dict[str, Any]] = answered.json()["data"]
    return entries


async def test_all_entries_are_returned_newest_first(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    async with served.client(OPERATOR) as otto:
        await otto.post(f"{LIST}/{dead.id}/requeue")
        await otto.post(
            "/api/v1/channels/Slack/pause", json={"until": "2h", "reason": "token=hunter22 changes"}
        )
    async with served.client(ADMIN) as ada:
        await ada.post(f"{LIST}/{dead.id}/read")
    settled, paused, requeued = await looked_up(served)
    assert settled == {
        "at": "2026-01-01T12:00:00Z",
        "actor": "http:ada",
        "action": "mark read",
        "notification_id": dead.id,
    }
    assert (paused["actor"], paused["action"], "notification_id" in paused) == ("http:otto", "pause", False)
    assert "Slack" in paused["detail"]
    assert "hunter22" not in paused["detail"]
    assert (requeued["actor"], requeued["action"]) == ("http:otto", "requeue")


async def test_the_entries_of_one_notification_are_found_even_after_its_deletion(
    served: Served, queue: Queue
) -> None:
    sent, other = await queue.sent(), await queue.sent()
    await queue.repository.mark_read(other.id, actor="cli:ada")
    await queue.repository.mark_read(sent.id, actor="cli:ada")
    queue.clock.advance(timedelta(days=1))
    await queue.repository.purge_all(
        [sent.id], statuses=[NotificationStatus.READ], created_until=queue.clock(), actor="cli:root"
    )
    entries = await looked_up(served, f"?notification_id={sent.id}")
    assert [(entry["actor"], entry["action"], entry["notification_id"]) for entry in entries] == [
        ("cli:root", "purge", sent.id),
        ("cli:ada", "mark read", sent.id),
    ]
    assert len(await looked_up(served, f"?notification_id={sent.id}&limit=1")) == 1
    (settled,) = await looked_up(served, f"?notification_id={other.id[-12:]}")
    assert settled["notification_id"] == other.id


async def test_an_id_that_there_never_was_is_not_found(served: Served, queue: Queue) -> None:
    untouched = await queue.pending()
    assert await looked_up(served, f"?notification_id={untouched.id}") == []
    async with served.client(READER) as client:
        refused = await client.get(f"{AUDIT}?notification_id=nowhere")
    assert refused.status_code == 404
    assert "nowhere" in refused.json()["message"]


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=all", "notification_id=%00"])
async def test_a_malformed_query_is_refused(served: Served, query: str) -> None:
    async with served.client(READER) as client:
        refused = await client.get(f"{AUDIT}?{query}")
    assert refused.status_code == 400
    assert refused.json()["message"].startswith(query.partition("=")[0])
