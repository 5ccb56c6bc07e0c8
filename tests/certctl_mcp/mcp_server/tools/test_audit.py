"""The audit log, as an assistant reads it."""

from datetime import timedelta

from storage.channel_state import Pause
from storage.models import NotificationStatus
from tests.builders import Queue
from tests.certctl_mcp.mcp_server.tools.conftest import Assistant


async def test_all_entries_are_returned_newest_first(assistant: Assistant, queue: Queue) -> None:
    dead = await queue.dead()
    await queue.repository.requeue(dead.id, actor="http:otto")
    queue.clock.advance(timedelta(minutes=1))
    pause = Pause(queue.clock() + timedelta(hours=1), "maintenance", "http:ada")
    await queue.repository.pause_channel("Webhook", pause, actor="http:ada")
    paused, requeued = (await assistant.call("audit_log"))["entries"]
    assert requeued == {
        "at": "2026-01-01T12:00:00Z",
        "action": "requeue",
        "id": dead.id,
        "untrusted": {"actor": "http:otto"},
    }
    assert (paused["at"], paused["action"], "id" in paused) == ("2026-01-01T12:01:00Z", "pause", False)
    assert paused["untrusted"]["actor"] == "http:ada"
    assert "Webhook" in paused["untrusted"]["detail"]
    assert "maintenance" in paused["untrusted"]["detail"]


async def test_the_entries_of_one_notification_are_found_even_after_its_deletion(
    assistant: Assistant, queue: Queue
) -> None:
    sent, other = await queue.sent(), await queue.sent()
    await queue.repository.mark_read(other.id, actor="http:ada")
    queue.clock.advance(timedelta(days=1))
    await queue.repository.purge_all(
        [sent.id], statuses=[NotificationStatus.SENT], created_until=queue.clock(), actor="cli:root"
    )
    (entry,) = (await assistant.call("audit_log", id=sent.id))["entries"]
    assert (entry["action"], entry["untrusted"]) == ("purge", {"actor": "cli:root"})


async def test_an_id_that_never_existed_is_refused(assistant: Assistant, queue: Queue) -> None:
    dead = await queue.dead()
    assert (await assistant.call("audit_log", id=dead.id))["entries"] == []
    slip = dead.id[:-1] + ("0" if dead.id[-1] != "0" else "1")
    assert dead.id in await assistant.refused("audit_log", id=slip)


async def test_hostile_names_and_reasons_stay_data(assistant: Assistant, queue: Queue) -> None:
    pause = Pause(queue.clock() + timedelta(hours=1), "\x1b[2J token=hunter22 " + "x" * 400, "eve")
    await queue.repository.pause_channel("Webhook", pause, actor="stdio:\u202eeve\x07")
    (entry,) = (await assistant.call("audit_log"))["entries"]
    shown = str(entry)
    assert not any(hidden in shown for hidden in ("\x1b", "\u202e", "\x07", "hunter22", "x" * 300))


async def test_the_result_says_how_many_entries_it_omits(assistant: Assistant, queue: Queue) -> None:
    for number in range(100):
        pause = Pause(queue.clock() + timedelta(hours=1), f"{number} " + "\u4e2d" * 400, "eve")
        await queue.repository.pause_channel("Webhook", pause, actor="http:eve")
    found = await assistant.call("audit_log", limit=100)
    assert len(found["entries"]) + found["cut"] == 100
    assert found["cut"] > 0
