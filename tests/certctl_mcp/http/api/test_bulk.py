"""Bulk actions over REST require a preview and change exactly the notifications that it counted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from storage.errors import DatabaseBusyError, NotificationNotFoundError
from storage.models import BulkReport, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import Queue
from tests.certctl_mcp.http.conftest import ADMIN, KEYS, OPERATOR, READER, Serve, Served

LIST = "/api/v1/notifications"

Post = Callable[..., Awaitable[httpx2.Response]]


async def post(served: Served, action: str, key: str = ADMIN, **body: Any) -> httpx2.Response:
    async with served.client(key) as client:
        return await client.post(f"{LIST}/{action}", json=body)


async def previewed(served: Served, action: str, **body: Any) -> dict[str, Any]:
    answered = await post(served, action, **body)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    assert found["status"] == "previewed"
    return found


async def statuses(queue: Queue, *ids: str) -> list[NotificationStatus]:
    return [(await queue.repository.get(each)).status for each in ids]


async def test_a_requeue_is_previewed_and_then_changes_exactly_the_previewed_notifications(
    served: Served, queue: Queue
) -> None:
    dead, elsewhere = await queue.dead(), await queue.dead(channel="Slack")
    await queue.sent()
    preview = await previewed(served, "requeue", channel="Webhook")
    assert await statuses(queue, dead.id) == [NotificationStatus.DEAD]
    confirmation = preview.pop("confirmation")
    assert preview == {
        "status": "previewed",
        "would_change": 1,
        "by_status": {"dead": 1},
        "by_channel": [{"channel": "Webhook", "count": 1}],
        "sample_ids": [dead.id],
        "accepted_from": "2026-01-01T12:00:00Z",
        "accepted_until": "2026-01-01T12:00:00Z",
        "undeliverable": 0,
        "left_out": {"under_way": 0, "other_status": 0, "missing": 0},
        "remembered": 0,
        "confirm_until": "2026-01-01T12:10:00.001000Z",
    }
    done = await post(served, "requeue", channel="Webhook", confirmation=confirmation)
    assert done.json() == {
        "status": "requeued",
        "changed": 1,
        "left_out": {"under_way": 0, "other_status": 0, "missing": 0},
        "still_matching": 0,
    }
    assert await statuses(queue, dead.id, elsewhere.id) == [
        NotificationStatus.PENDING,
        NotificationStatus.DEAD,
    ]
    (entry, *_) = await queue.repository.audit_log(dead.id, limit=1)
    assert (entry.actor, entry.action.value) == ("http:ada", "requeue")


async def test_marking_as_read_and_purging_require_a_confirmation_too(served: Served, queue: Queue) -> None:
    dead, sent = await queue.dead(), await queue.sent()
    queue.clock.advance(timedelta(days=40))
    for action, body, status in (
        ("read", {"ids": [dead.id]}, "marked_as_read"),
        ("purge", {"created_until": "30d"}, "purged"),
    ):
        confirmation = (await previewed(served, action, **body))["confirmation"]
        done = (await post(served, action, **body, confirmation=confirmation)).json()
        assert (done["status"], done["still_matching"]) == (status, 0)
    for gone in (dead, sent):
        with pytest.raises(NotificationNotFoundError):
            await queue.repository.get(gone.id)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"channel": "Slack"}, "was issued for other arguments"),
        ({"confirmation": "x"}, "is not one that a preview returned"),
    ],
)
async def test_a_confirmation_is_valid_only_for_its_own_request(
    served: Served, queue: Queue, changes: dict[str, object], problem: str
) -> None:
    dead = await queue.dead()
    await queue.dead(channel="Slack")
    confirmation = (await previewed(served, "requeue", channel="Webhook"))["confirmation"]
    refused = await post(served, "requeue", **{"channel": "Webhook", "confirmation": confirmation, **changes})
    assert refused.status_code == 409
    assert problem in refused.json()["message"]
    settled = await post(served, "read", channel="Webhook", confirmation=confirmation)
    by_another = await post(served, "requeue", OPERATOR, channel="Webhook", confirmation=confirmation)
    assert (settled.status_code, by_another.status_code) == (409, 409)
    assert await statuses(queue, dead.id) == [NotificationStatus.DEAD]


async def test_a_confirmation_is_refused_once_used_expired_or_outdated(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    confirmation = (await previewed(served, "requeue"))["confirmation"]
    await queue.repository.mark_read(dead.id, actor=None)
    refused = await post(served, "requeue", confirmation=confirmation)
    assert refused.status_code == 409
    assert "0 would change now, not the 1 of the preview. Nothing was changed" in refused.json()["message"]

    again = await queue.dead()
    confirmation = (await previewed(served, "requeue"))["confirmation"]
    queue.clock.advance(timedelta(minutes=11))
    late = await post(served, "requeue", confirmation=confirmation)
    assert "older than 10 minutes" in late.json()["message"]
    confirmation = (await previewed(served, "requeue"))["confirmation"]
    assert (await post(served, "requeue", confirmation=confirmation)).json()["changed"] == 1
    used = await post(served, "requeue", confirmation=confirmation)
    assert (used.status_code, "has been used" in used.json()["message"]) == (409, True)
    assert await statuses(queue, again.id) == [NotificationStatus.PENDING]


@pytest.mark.parametrize(
    ("action", "body", "status", "problem"),
    [
        ("requeue", {"status": ["sending"]}, 400, "status: must be 'pending', 'sent'"),
        ("requeue", {"ids": [], "channel": "Webhook"}, 400, "ids: "),
        ("requeue", {"staus": ["dead"]}, 400, "staus: Extra inputs are not permitted"),
        ("requeue", {"status": ["read"]}, 422, "requeue does not apply to read; allowed: dead, failed, sent"),
        ("requeue", {"created_from": "recently"}, 422, "created_from: 'recently' is not a point in time"),
        ("requeue", {"channel": "Webhok"}, 422, "did you mean 'Webhook'?"),
        ("read", {}, 422, "select by channel, type, text, created_until or another filter"),
        ("purge", {}, 422, "created_until: give one, such as 30d"),
        ("purge", {"created_from": "1d", "created_until": "2d"}, 422, "is not before created_until"),
    ],
)
async def test_an_invalid_selection_is_refused(
    served: Served, queue: Queue, action: str, body: dict[str, Any], status: int, problem: str
) -> None:
    await queue.dead()
    refused = await post(served, action, **body)
    assert refused.status_code == status, refused.text
    assert problem in refused.json()["message"]


async def test_an_interruption_by_the_database_is_reported_with_what_was_done(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.operations.bulk.LARGEST_BULK", 1)
    for _ in range(2):
        await queue.dead()
    confirmation = (await previewed(served, "requeue"))["confirmation"]
    requeue_all = NotificationRepository.requeue_all
    failures = iter((None, DatabaseBusyError("locked")))

    async def held_after_one(
        self: NotificationRepository, ids: tuple[str, ...], *, actor: str | None
    ) -> BulkReport:
        if failure := next(failures):
            raise failure
        return await requeue_all(self, ids, actor=actor)

    monkeypatch.setattr(NotificationRepository, "requeue_all", held_after_one)
    stopped = await post(served, "requeue", confirmation=confirmation)
    assert (stopped.status_code, stopped.headers["Retry-After"]) == (503, "5")
    assert "unavailable after 1 of 2 were done" in stopped.json()["message"]
    # The preview is outdated.
    assert (await post(served, "requeue", confirmation=confirmation)).status_code == 409


async def test_a_preview_counts_missing_and_undeliverable_notifications(served: Served, queue: Queue) -> None:
    await queue.dead(channel="Pager")
    nothing = await previewed(served, "requeue", ids=["no-such-id"], channel="Pager")
    assert (nothing["would_change"], nothing["left_out"]["missing"]) == (0, 1)
    assert "confirmation" not in nothing
    assert (await previewed(served, "requeue", channel="Pager"))["undeliverable"] == 1


async def test_each_key_can_do_only_what_its_role_allows(served: Served, queue: Queue) -> None:
    await queue.dead()
    for action in ("requeue", "read", "purge"):
        reader = await post(served, action, READER, channel="Webhook", created_until="1d")
        assert (reader.status_code, "'rita' is read-only" in reader.json()["message"]) == (403, True)
    refused = await post(served, "purge", OPERATOR, created_until="1d")
    assert (refused.status_code, refused.json()["message"]) == (403, "Only a key with :admin may delete.")


async def test_the_operator_can_disable_bulk_requeues_and_keep_single_ones(
    serve: Serve, queue: Queue
) -> None:
    served = await serve(CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_MCP_EXCLUDE="requeue_notifications")
    dead = await queue.dead()
    withheld = await post(served, "requeue")
    assert withheld.status_code == 403
    assert "because requeue_notifications is not among its tools; see CERTCTL_MCP_TOOLS" in withheld.text
    assert (await post(served, f"{dead.id}/requeue")).status_code == 200


async def test_an_id_is_never_mistaken_for_an_action_or_an_action_for_an_id(
    served: Served, queue: Queue
) -> None:
    """Ids of other programs are arbitrary text."""
    dead = await queue.dead()
    async with served.client(ADMIN) as client:
        for name in ("requeue", "read", "purge", "retry-due"):
            assert "no notification" in (await client.get(f"{LIST}/{name}")).json()["message"]
            assert "no notification" in (await client.post(f"{LIST}/{name}/requeue")).json()["message"]
            for encoded in (f"%{ord(name[0]):x}{name[1:]}", f"x%2F{name}", f"{name}%2F"):
                refused = await client.post(f"{LIST}/{encoded}", json={"ids": [dead.id]})
                assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
            other = await client.put(f"{LIST}/{name}", json={})
            assert (other.status_code, other.headers["Allow"]) == (405, "GET, POST")
