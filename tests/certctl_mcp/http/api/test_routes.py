"""certctl's clients work with this server: it has the same fields, and its errors say what is allowed."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.models import NotificationStatus
from tests.builders import NOON, Queue
from tests.certctl_mcp.http.conftest import ADMIN, OPERATOR, READER, Serve, Served
from tests.storage.raw_sql import insert_row, run

LIST = "/api/v1/notifications"
NEW = {"type": "ExpirationWarning", "channel": "Webhook", "message": "api.example.com expires"}


async def get(served: Served, path: str, **headers: str) -> dict[str, Any]:
    async with served.client(OPERATOR, **headers) as client:
        answered = await client.get(path)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_list_has_certctls_fields_and_the_exact_total(served: Served, queue: Queue) -> None:
    for number in range(3):
        queue.clock.advance(timedelta(seconds=1))
        await queue.pending(message=f"alert {number}")
    listed = await get(served, f"{LIST}?status=&page=&per_page=2")
    assert [row["message"] for row in listed["data"]] == ["alert 2", "alert 1"]
    assert (listed["total"], listed["page"], listed["per_page"]) == (3, 1, 2)
    second = await get(served, f"{LIST}?page=2&per_page=2")
    assert [row["message"] for row in second["data"]] == ["alert 0"]
    assert (second["total"], second["page"], "next_cursor" in second) == (3, 2, False)
    beyond = await get(served, f"{LIST}?page=100000&per_page=500")
    assert (beyond["data"], beyond["total"]) == ([], 3)


async def test_a_row_has_certctls_fields_and_omits_empty_ones(served: Served, queue: Queue) -> None:
    pending = await queue.pending(certificate_id="mc-1")
    (row,) = (await get(served, LIST))["data"]
    assert row == {
        "id": pending.id,
        "type": "ExpirationWarning",
        "certificate_id": "mc-1",
        "channel": "Webhook",
        "recipient": "on-call",
        "message": "api.example.com expires in 7 days",
        "status": "pending",
        "retry_count": 0,
        "created_at": "2026-01-01T12:00:00Z",
    }


async def test_a_shortened_id_shows_all_that_the_whole_one_shows(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        sent = (await client.post(LIST, json=NEW)).json()["id"]
        await client.post(f"{LIST}/retry-due")
    whole = await get(served, f"{LIST}/{sent}")
    assert whole["attempts"]
    assert whole["audit"]
    assert await get(served, f"{LIST}/{sent[:20]}") == whole


async def test_a_failed_notification_has_its_error_and_its_next_retry(served: Served, queue: Queue) -> None:
    failed = await queue.failed("HTTP 503")
    detail = await get(served, f"{LIST}/{failed.id}")
    assert detail["last_error"] == "HTTP 503"
    assert detail["next_retry_at"] == "2026-01-01T12:01:00Z"
    assert detail["retry_count"] == 1
    (attempt,) = detail["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["seconds"]) == (1, "failed", 0.25)
    assert detail["attempts_before"] == 0


async def test_dead_letters_can_be_listed_on_their_own(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    await queue.pending()
    listed = await get(served, f"{LIST}?status=dead")
    assert ([row["id"] for row in listed["data"]], listed["total"]) == ([dead.id], 1)


@pytest.mark.parametrize(
    "condition",
    [
        "channel=Slack",
        "type=Revocation",
        "certificate_id=mc-9",
        "recipient=ops",
        "text=NEEDLE",
        "created_from=2026-01-01T12:00:01Z",
    ],
)
async def test_each_filter_selects_notifications(served: Served, queue: Queue, condition: str) -> None:
    await queue.pending()
    queue.clock.advance(timedelta(seconds=1))
    meant = await queue.pending(
        channel="Slack", type="Revocation", certificate_id="mc-9", recipient="ops", message="a needle"
    )
    listed = await get(served, f"{LIST}?{condition}")
    assert ([row["id"] for row in listed["data"]], listed["total"]) == ([meant.id], 1)


async def test_a_cursor_continues_the_list_despite_new_notifications(served: Served, queue: Queue) -> None:
    for number in range(3):
        queue.clock.advance(timedelta(seconds=1))
        await queue.pending(message=f"alert {number}")
    first = await get(served, f"{LIST}?per_page=2")
    queue.clock.advance(timedelta(seconds=1))
    await queue.pending(message="alert 3")
    second = await get(served, f"{LIST}?per_page=2&cursor={first['next_cursor']}")
    assert [row["message"] for row in second["data"]] == ["alert 0"]
    assert "page" not in second


async def test_an_unchanged_list_is_not_sent_again(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    async with served.client(OPERATOR) as client:
        for path in (LIST, f"{LIST}/{dead.id}", "/api/v1/stats/summary"):
            first = await client.get(path)
            etag = first.headers["ETag"]
            queue.clock.advance(timedelta(seconds=1))
            again = await client.get(path, headers={"If-None-Match": f'"other", {etag}'})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        await client.post(f"{LIST}/{dead.id}/requeue")
        for path in (LIST, f"{LIST}/{dead.id}", "/api/v1/stats/summary"):
            changed = await client.get(path, headers={"If-None-Match": etag})
            assert changed.status_code == 200


async def test_requeue_and_read_respond_as_certctl_does(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    async with served.client(OPERATOR) as client:
        requeued = await client.post(f"{LIST}/{dead.id}/requeue")
        assert (requeued.status_code, requeued.json()) == (200, {"status": "requeued"})
        assert (await queue.repository.get(dead.id)).status == NotificationStatus.PENDING
        conflict = await client.post(f"{LIST}/{dead.id}/requeue")
        assert conflict.status_code == 409
        assert "is pending" in conflict.json()["message"]
        read = await client.post(f"{LIST}/{dead.id}/read")
        assert (read.status_code, read.json()) == (200, {"status": "marked_as_read"})
        assert (await queue.repository.get(dead.id)).status == NotificationStatus.READ


async def test_due_notifications_can_be_retried_at_once(served: Served, queue: Queue) -> None:
    waiting, due = await queue.failed(), await queue.pending()
    async with served.client(READER) as client:
        assert (await client.post(f"{LIST}/retry-due")).status_code == 403
    async with served.client(OPERATOR) as client:
        retried = await client.post(f"{LIST}/retry-due")
    assert retried.json() == {"sent": 1, "failed": 0, "dead": 0, "still_under_way": 0}
    assert (await queue.repository.get(due.id)).status == NotificationStatus.SENT
    assert (await queue.repository.get(waiting.id)).status == NotificationStatus.FAILED


async def test_a_notification_includes_its_audit_entries(served: Served) -> None:
    async with served.client(ADMIN) as ada, served.client(OPERATOR) as otto:
        address = (await otto.post(LIST, json=NEW)).headers["Location"]
        await ada.post(f"{address}/read")
        entries = (await otto.get(address)).json()["audit"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("http:otto", "send"),
        ("http:ada", "mark read"),
    ]


@pytest.mark.parametrize("step", ["", "/requeue", "/read"])
async def test_an_unknown_id_is_404_with_the_nearest_id_as_a_suggestion(
    served: Served, queue: Queue, step: str
) -> None:
    dead = await queue.dead()
    slip = dead.id[:-1] + ("0" if dead.id[-1] != "0" else "1")
    async with served.client(OPERATOR) as client:
        method = "POST" if step else "GET"
        refused = await client.request(method, f"{LIST}/{slip}{step}")
    assert refused.status_code == 404
    assert f"did you mean '{dead.id}'?" in refused.json()["message"]


async def test_a_problem_has_the_fields_of_the_rfc_and_of_certctl(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.get(f"{LIST}/nowhere")
    assert refused.headers["Content-Type"] == "application/problem+json"
    told = refused.json()
    assert told == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no notification 'nowhere'.",
        "error": "Not Found",
        "message": "There is no notification 'nowhere'.",
        "request_id": refused.headers["X-Request-ID"],
    }


@pytest.mark.parametrize("path", ["/health", "/", "/metrics", LIST, f"{LIST}/nowhere", f"{LIST}/x/requeue"])
async def test_head_is_answered_like_get(served: Served, path: str) -> None:
    async with served.client(OPERATOR) as client:
        head, got = await client.head(path), await client.get(path)
    assert head.status_code == got.status_code
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


async def test_head_needs_the_key_that_get_needs(served: Served) -> None:
    async with served.client() as client:
        assert (await client.head(LIST)).status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_declared_as_json_is_told_so(served: Served, kind: str) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.post(LIST, content=json.dumps(NEW), headers={"Content-Type": kind})
    assert refused.status_code == 400
    assert refused.json()["detail"] == "body: must be JSON, with Content-Type: application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", LIST, "GET, POST"),
        ("GET", f"{LIST}/x/requeue", "POST"),
        ("PUT", f"{LIST}/x/read", "POST"),
        ("POST", f"{LIST}/x", "GET"),
        ("POST", "/api/v1/stats/summary", "GET"),
    ],
)
async def test_other_methods_are_405(served: Served, method: str, path: str, allowed: str) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.request(method, path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, allowed)
    assert refused.json()["message"] == f"Method not allowed; allowed: {allowed}"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("created_from=2026-01-01T12:00", "created_from: must be a timestamp with a time zone"),
        ("created_until=0.5", "created_until: must be a timestamp with a time zone"),
        ("text=%00", "text: String should match"),
    ],
)
async def test_the_error_for_a_malformed_query_says_what_is_allowed(
    served: Served, query: str, problem: str
) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.get(f"{LIST}?{query}")
    assert refused.status_code == 400
    assert problem in refused.json()["message"]


@pytest.mark.parametrize(
    ("query", "shown", "page", "per_page"),
    [
        ("page=abc&per_page=abc", 2, 1, 50),
        ("page=0&per_page=0", 2, 1, 50),
        ("page=-1&per_page=501", 2, 1, 50),
        ("page=1e3&per_page=1000", 2, 1, 50),
        (f"page={2**64}", 2, 1, 50),
        (f"page={10**17}&per_page=500", 0, 10**17, 500),
        ("pag=7&sort=asc&status=", 2, 1, 50),
        ("status=bogus", 0, 1, 50),
        (f"status={'x' * 300}%00", 0, 1, 50),
    ],
)
async def test_parameters_are_parsed_as_leniently_as_in_certctl(
    served: Served, queue: Queue, query: str, shown: int, page: int, per_page: int
) -> None:
    await queue.pending()
    await queue.dead()
    listed = await get(served, f"{LIST}?{query}")
    assert (len(listed["data"]), listed["page"], listed["per_page"]) == (shown, page, per_page)


async def test_a_status_of_another_program_is_listed_counted_and_kept(
    served: Served, queue: Queue, database_path: Path
) -> None:
    await queue.dead()
    insert_row(database_path, id="theirs", status="snoozed", channel="Webhook")
    listed = await get(served, LIST)
    assert (listed["total"], {row["status"] for row in listed["data"]}) == (2, {"dead", "snoozed"})
    filtered = await get(served, f"{LIST}?status=snoozed")
    assert ([row["id"] for row in filtered["data"]], filtered["total"]) == (["theirs"], 1)
    assert (await get(served, f"{LIST}/theirs"))["status"] == "snoozed"
    assert (await get(served, "/api/v1/stats/summary"))["notifications"]["other"] == 1
    async with served.client(OPERATOR) as client:
        assert 'certctl_notifications{status="other"} 1.0' in (await client.get("/metrics")).text
        for action in ("requeue", "read"):
            assert (await client.post(f"{LIST}/theirs/{action}")).status_code == 409
    assert (await get(served, f"{LIST}/theirs"))["status"] == "snoozed"


@pytest.mark.parametrize(
    ("query", "problem"),
    [("cursor=x", "'x' is not a page cursor"), ("cursor=x&page=2", "page and cursor can't be combined")],
)
async def test_a_page_that_does_not_exist_is_an_error(served: Served, query: str, problem: str) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.get(f"{LIST}?{query}")
    assert refused.status_code == 422
    assert problem in refused.json()["message"]


async def test_the_trace_of_the_caller_is_stored(served: Served, queue: Queue) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with served.client(OPERATOR) as client:
        for given, stored in ((traceparent, traceparent), ("00-no-trace", None)):
            answered = await client.post(LIST, json=NEW, headers={"traceparent": given})
            assert (await queue.repository.get(answered.json()["id"])).traceparent == stored


async def test_a_created_notification_is_stored_and_has_a_location(served: Served, queue: Queue) -> None:
    async with served.client(OPERATOR) as client:
        created = await client.post(LIST, json=NEW | {"recipient": "ops", "certificate_id": "mc-1"})
        assert created.status_code == 201
        again = await client.get(created.headers["Location"])
    stored = await queue.repository.get(created.json()["id"])
    assert (stored.type, stored.channel, stored.message) == tuple(NEW.values())
    assert (stored.recipient, stored.certificate_id, stored.created_at) == ("ops", "mc-1", NOON)
    assert again.json()["id"] == stored.id


@pytest.mark.parametrize("quoted", ["{}", '"{}"'])
async def test_the_same_idempotency_key_creates_one_notification(
    served: Served, queue: Queue, quoted: str
) -> None:
    first, second = {"Idempotency-Key": "k-1"}, {"Idempotency-Key": quoted.format("k-1")}
    async with served.client(OPERATOR) as client:
        created = await client.post(LIST, json=NEW, headers=first)
        replayed = await client.post(LIST, json=NEW, headers=second)
        assert (replayed.status_code, replayed.json()) == (201, created.json())
        assert replayed.headers["Idempotent-Replayed"] == "true"
        other = await client.post(LIST, json=NEW | {"message": "other"}, headers=second)
        assert other.status_code == 422
        assert created.json()["id"] in other.json()["message"]
    assert (await get(served, LIST))["total"] == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "type: Field required"),
        (NEW | {"message": "x" * 1_000_001}, "message: must have at most 1000000 characters"),
        (NEW | {"message": "a\0b"}, "message: String should match pattern"),
        (NEW | {"recipient": "x" * 256}, "recipient: String should have at most 255 characters"),
        (NEW | {"certificate_id": ""}, "certificate_id: String should have at least 1 character"),
        (NEW | {"url": "http://elsewhere"}, "url: Extra inputs are not permitted"),
        ([NEW], "body: must be a valid dictionary"),
        (None, "body: "),
    ],
)
async def test_a_malformed_alert_is_refused(served: Served, body: object, problem: str) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.post(LIST, json=body)
    assert refused.status_code == 400
    assert problem in refused.json()["message"]
    assert (await get(served, LIST))["total"] == 0


async def test_the_error_for_an_unconfigured_channel_suggests_the_nearest(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.post(LIST, json=NEW | {"channel": "Webhok"})
    assert refused.status_code == 422
    assert "did you mean 'Webhook'?" in refused.json()["message"]


@pytest.mark.parametrize(
    "body", [b'{"type":', b"\xff", b'{"type":"\\ud800","channel":"Webhook","message":"x"}']
)
async def test_a_body_that_is_not_json_is_refused(served: Served, body: bytes) -> None:
    async with served.client(OPERATOR, **{"Content-Type": "application/json"}) as client:
        refused = await client.post(LIST, content=body)
    assert refused.status_code == 400


async def test_secrets_are_not_shown(served: Served, queue: Queue) -> None:
    dead = await queue.dead("refused: password=hunter22", message="token=hunter22", recipient="u:hunter22@x")
    for path in (LIST, f"{LIST}/{dead.id}"):
        async with served.client(ADMIN) as client:
            answered = await client.get(path)
        assert "password=[redacted]" in answered.text
        assert "password=hunter22" not in answered.text
        assert "token=hunter22" not in answered.text


async def test_a_list_truncates_a_long_text_and_the_notification_has_all_of_it(
    served: Served, queue: Queue
) -> None:
    long = await queue.pending(message="x" * 5000)
    (row,) = (await get(served, LIST))["data"]
    assert (len(row["message"]), row["cut"]) == (2000, 3000)
    detail = await get(served, f"{LIST}/{long.id}")
    assert (len(detail["message"]), "cut" in detail) == (5000, False)


async def test_the_summary_has_certctls_fields(served: Served, queue: Queue) -> None:
    await queue.dead()
    summary = await get(served, "/api/v1/stats/summary")
    assert summary["notifications_dead"] == 1
    assert summary["notifications"]["dead"] == 1
    certctl_s = {
        "total_certificates",
        "expiring_certificates",
        "expired_certificates",
        "revoked_certificates",
        "active_agents",
        "offline_agents",
        "total_agents",
        "pending_jobs",
        "failed_jobs",
        "complete_jobs",
        "completed_at",
    }
    assert certctl_s <= summary.keys()


async def test_without_keys_any_local_caller_can_operate(serve: Serve) -> None:
    served = await serve()
    async with served.client() as client:
        assert (await client.post(LIST, json=NEW)).status_code == 201
        assert (await client.get("/api/v1/auth/info")).json() == {"auth_type": "none", "required": False}
        assert (await client.get("/api/v1/auth/check")).json()["admin"] is False


async def test_an_id_can_contain_a_slash(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.post(f"{LIST}/a%2Fb%2525/requeue")
    assert refused.status_code == 404
    assert "'a%2Fb%2525'" in refused.json()["message"]


async def test_the_response_for_an_unknown_path_is_a_problem_too(served: Served) -> None:
    async with served.client(OPERATOR) as client:
        refused = await client.get("/api/v2/notifications")
    assert (refused.status_code, refused.json()["message"]) == (404, "Nothing is at this path.")


async def test_the_audit_log_records_the_caller_of_each_key(served: Served, queue: Queue) -> None:
    dead = await queue.dead()
    async with served.client(OPERATOR) as client:
        created = (await client.post(LIST, json=NEW)).json()
        await client.post(f"{LIST}/{dead.id}/requeue")
        await client.post(f"{LIST}/{created['id']}/read")
    async with served.client(ADMIN) as client:
        await client.post(f"{LIST}/{dead.id}/read")

    async def audit(notification_id: str) -> list[tuple[str, str]]:
        entries = await queue.repository.audit(notification_id, limit=10)
        return [(entry.actor, entry.action.value) for entry in entries]

    assert await audit(dead.id) == [("http:otto", "requeue"), ("http:ada", "mark read")]
    assert await audit(created["id"]) == [("http:otto", "send"), ("http:otto", "mark read")]


async def test_a_channel_is_paused_and_resumed(served: Served, queue: Queue) -> None:
    await queue.pending()
    pause = {"until": "2h", "reason": "maintenance"}
    async with served.client(OPERATOR) as client:
        paused = await client.post("/api/v1/channels/Webhook/pause", json=pause)
        assert (paused.status_code, paused.json()) == (200, {"paused_until": "2026-01-01T14:00:00Z"})
        listed = (await client.get("/api/v1/channels")).json()["data"]
        (closed,) = [row["closed"] for row in listed if row["name"] == "Webhook"]
        assert (closed["state"], closed["reason"], closed["waiting"]) == ("paused", "maintenance", 1)
        resumed = await client.post("/api/v1/channels/Webhook/resume")
        assert (resumed.status_code, resumed.json()) == (200, {"was_paused": True})
        unknown = await client.post("/api/v1/channels/Nowhere/pause", json=pause)
        assert unknown.status_code == 422


async def test_a_reader_cannot_pause_a_channel(served: Served) -> None:
    async with served.client(READER) as client:
        refused = await client.post("/api/v1/channels/Webhook/resume")
        assert refused.status_code == 403
        assert "may not pause channels" in refused.json()["message"]


async def test_a_dead_letter_and_its_replacement_refer_to_each_other(
    served: Served, queue: Queue, database_url: str
) -> None:
    dead, other = await queue.dead(), await queue.pending(channel="Email")
    run(database_url, "UPDATE notification_events SET origin_id = $1 WHERE id = $2", dead.id, other.id)
    assert (await get(served, f"{LIST}/{dead.id}"))["replaced_by"] == other.id
    assert (await get(served, f"{LIST}/{other.id}"))["origin_id"] == dead.id
    listed = (await get(served, LIST))["data"]
    assert [row.get("origin_id") for row in listed] == [dead.id, None]
