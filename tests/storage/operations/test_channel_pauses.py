"""While a channel is paused by a person, none of its notifications are claimed."""

from datetime import timedelta

import pytest

from storage.channel_state import ChannelRules, Pause, Rate
from storage.models import AuditAction, Closure
from tests.builders import TOOK, Queue, next_due_at, request
from tests.storage.operations.test_channel_states import ask_to_wait, claim, fail, messages, queued
from tests.storage.raw_sql import rows

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def pause(queue: Queue, channel: str = "Slack", duration: timedelta = HOUR) -> None:
    until = queue.clock.now + duration
    await queue.repository.pause_channel(channel, Pause(until, "maintenance", "kim"), actor="kim")


async def test_a_paused_channel_is_not_claimed_and_resumes_in_order(queue: Queue) -> None:
    await queued(queue, 3)
    await pause(queue)
    await queued(queue, 1, "Teams")
    others = await claim(queue)
    assert messages(others) == ["Teams 0"]
    await queue.repository.record_sent(others.claims[0], TOOK)
    assert messages(await queue.repository.claim(request(suspects=True, rules={}))) == []
    queue.clock.advance(HOUR)
    assert messages(await claim(queue)) == ["Slack 0", "Slack 1", "Slack 2"]


async def test_a_pause_that_is_over_costs_later_claims_nothing(queue: Queue, database_url: str) -> None:
    await pause(queue)
    await queued(queue, 1)
    queue.clock.advance(HOUR)
    assert messages(await claim(queue)) == ["Slack 0"]
    assert rows(database_url, "SELECT channel FROM notification_channels") == []


async def test_a_pause_can_be_ended_early(queue: Queue) -> None:
    await queued(queue, 1)
    await pause(queue)
    assert await queue.repository.resume_channel("Slack", actor="lee")
    assert messages(await claim(queue)) == ["Slack 0"]


async def test_resuming_a_channel_that_is_not_paused_has_no_effect(queue: Queue) -> None:
    assert not await queue.repository.resume_channel("Slack", actor="lee")
    await pause(queue, duration=SECOND)
    queue.clock.advance(2 * SECOND)
    assert not await queue.repository.resume_channel("Slack", actor="lee")


async def test_pausing_and_resuming_are_in_the_audit_log(queue: Queue) -> None:
    await pause(queue)
    await queue.repository.resume_channel("Slack", actor="lee")
    await queue.repository.resume_channel("Slack", actor="lee")
    resumed, paused = await queue.repository.audit_log(limit=10)
    assert (paused.actor, paused.action) == ("kim", AuditAction.PAUSE)
    assert paused.detail == "Slack until 2026-01-01T13:00:00Z: maintenance"
    assert (resumed.actor, resumed.action, resumed.detail) == ("lee", AuditAction.RESUME, "Slack")


async def test_ending_a_pause_keeps_other_closures(queue: Queue) -> None:
    await queued(queue, 1)
    (claimed,) = (await claim(queue)).claims
    await ask_to_wait(queue, claimed, HOUR)
    await pause(queue, duration=SECOND)
    queue.clock.advance(2 * SECOND)
    assert messages(await claim(queue)) == []


async def test_the_backlog_of_a_paused_channel_is_due_when_the_pause_ends(queue: Queue) -> None:
    await queue.failed(channel="Slack")
    await pause(queue)
    assert await next_due_at(queue.repository, queue.clock.now) == queue.clock.now + HOUR


async def test_an_open_channel_is_not_shown_as_closed(queue: Queue) -> None:
    await queued(queue, 2)
    assert await queue.repository.channel_closures() == ()


async def test_a_paused_channel_is_shown_with_its_reason(queue: Queue) -> None:
    await queued(queue, 2)
    await pause(queue)
    (closed,) = await queue.repository.channel_closures()
    assert (closed.channel, closed.state, closed.waiting) == ("Slack", Closure.PAUSED, 2)
    assert (closed.until, closed.reason, closed.by) == (queue.clock.now + HOUR, "maintenance", "kim")


async def test_a_channel_told_to_wait_is_shown_with_the_response(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    await queue.repository.release(second)
    await ask_to_wait(queue, first, HOUR)
    (closed,) = await queue.repository.channel_closures()
    assert (closed.state, closed.until) == (Closure.TOLD_TO_WAIT, queue.clock.now + HOUR)
    assert (closed.error, closed.waiting) == ("HTTP 429", 2)


async def test_a_held_channel_is_shown_with_its_next_probe(queue: Queue) -> None:
    await queued(queue, 4)
    *failing, last = (await claim(queue)).claims
    held_at = queue.clock.now
    for claimed in failing:
        await fail(queue, claimed)
    await queue.repository.release(last)
    (closed,) = await queue.repository.channel_closures()
    assert (closed.state, closed.since, closed.waiting) == (Closure.HELD, held_at, 4)
    assert (closed.until, closed.ends_at) == (held_at + timedelta(minutes=1), held_at + 24 * HOUR)
    assert closed.error == "HTTP 503"


@pytest.mark.parametrize("left", [0, 1])
async def test_a_rate_limit_closes_a_channel_only_with_a_backlog(queue: Queue, left: int) -> None:
    await queued(queue, 1 + left)
    for claimed in (await claim(queue, {"Slack": ChannelRules(Rate(HOUR))})).claims:
        await queue.repository.record_sent(claimed, TOOK)
    closed = await queue.repository.channel_closures()
    assert [closure.state for closure in closed] == [Closure.RATE_LIMITED] * left


async def test_a_pause_does_not_reset_the_rate_limit(queue: Queue) -> None:
    await queued(queue, 3)
    rules = {"Slack": ChannelRules(Rate(HOUR))}
    assert len((await claim(queue, rules)).claims) == 1
    await pause(queue, duration=SECOND)
    queue.clock.advance(2 * SECOND)
    assert messages(await claim(queue, rules)) == []
