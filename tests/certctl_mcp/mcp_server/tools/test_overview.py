"""`dashboard_summary` and `list_channels`: a first look."""

import pytest

from storage.database import Database
from storage.operations.processes import Heartbeat
from tests.builders import Queue
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant


async def test_the_summary_has_counts_and_names_what_is_unreadable(
    assistant: Assistant, queue: Queue
) -> None:
    await queue.dead()
    await queue.sent()
    summary = await assistant.call("dashboard_summary")
    assert summary["notifications_dead"] == 1
    assert summary["notifications"] == {"pending": 0, "sent": 1, "failed": 0, "dead": 1, "read": 0}
    assert set(summary["unreadable"]) == {"certificates", "agents", "jobs"}
    assert not {field for field in summary if "certificates" in field or "agents" in field or "jobs" in field}


async def test_a_channel_without_attempts_has_no_figures_for_the_last_day(assistant: Assistant) -> None:
    listed = await assistant.call("list_channels")
    webhook = {"name": "Webhook", "destination": "webhook at receiver.example", "processes": 0}
    assert listed["channels"] == [webhook]
    assert "nobody_delivers" not in listed


async def test_running_processes_and_unserved_channels_are_listed(assistant: Assistant, queue: Queue) -> None:
    await queue.repository.heartbeat(Heartbeat("other", "host-2", "1.0", ("Webhook", "Teams")))
    for channel in ("Webhook", "Teams", "Fax\u202e"):
        await queue.pending(channel=channel)
    listed = await assistant.call("list_channels")
    assert [(row["name"], row["processes"]) for row in listed["channels"]] == [("Webhook", 1), ("Teams", 1)]
    assert listed["channels"][1]["destination"] == "configured in another process, on host-2"
    assert listed["nobody_delivers"] == [{"waiting": 1, "untrusted": {"channel": "Fax\\u{202e}"}}]
    summary = await assistant.call("dashboard_summary")
    assert (summary["processes_alive"], summary["waiting_unserved"]) == (1, 1)


async def test_the_list_of_channels_names_the_database(assistant: Assistant, database: Database) -> None:
    assert (await assistant.call("list_channels"))["database"] == database.location


async def test_a_channel_has_figures_for_the_last_day(assistant: Assistant, queue: Queue) -> None:
    await queue.sent()
    await queue.dead("HTTP 410 gone")
    (channel,) = (await assistant.call("list_channels"))["channels"]
    assert channel["last_day"] == {
        "outcomes": {"sent": 1, "dead": 1},
        "last_sent_at": "2026-01-01T12:00:00Z",
        "last_failed_at": "2026-01-01T12:00:00Z",
        "untrusted": {"error": "HTTP 410 gone"},
    }


async def test_a_paused_channel_is_shown_with_its_end_and_reason(assistant: Assistant, queue: Queue) -> None:
    await queue.pending()
    paused = await assistant.call("pause_channel", channel="Webhook", until="2h", reason="moving\u202e house")
    assert paused == {"paused_until": "2026-01-01T14:00:00Z"}
    (channel,) = (await assistant.call("list_channels"))["channels"]
    closed = channel["closed"]
    assert (closed["state"], closed["until"], closed["waiting"]) == ("paused", "2026-01-01T14:00:00Z", 1)
    assert closed["untrusted"]["reason"] == "moving\\u{202e} house"
    assert (await assistant.call("dashboard_summary"))["channels_closed"] == 1
    assert await assistant.call("resume_channel", channel="Webhook") == {"was_paused": True}
    assert await assistant.call("resume_channel", channel="Webhook") == {"was_paused": False}
    assert "closed" not in (await assistant.call("list_channels"))["channels"][0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"until": "2025-12-31"}, "until: must be in the future"),
        ({"until": "31d"}, "until: must be in the future, by at most 30 days"),
        ({"until": "soon"}, "until: give how long"),
        ({"reason": " "}, "reason: must be a text"),
        ({"channel": "Webhok"}, "did you mean 'Webhook'?"),
    ],
)
async def test_a_pause_without_a_channel_an_end_or_a_reason_is_refused(
    assistant: Assistant, arguments: dict[str, str], problem: str
) -> None:
    given = {"channel": "Webhook", "until": "1h", "reason": "maintenance"} | arguments
    assert problem in await assistant.refused("pause_channel", **given)
