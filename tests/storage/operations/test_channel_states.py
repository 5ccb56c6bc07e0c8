"""How claims respect the state of a channel, and how outcomes change it."""

from datetime import timedelta

import pytest

from storage.channel_state import LONGEST_CLOSURE, ChannelRules, Failed, Rate, ToldToWait
from storage.database import Database
from storage.models import AttemptOutcome, Claim, NotificationStatus
from storage.operations.channel_states import EARLY, Report
from storage.operations.claim_request import Claims
from storage.repository import NotificationRepository
from tests.builders import CHANNELS, TOOK, WAIT, Queue, SettableClock, next_due_at, request
from tests.storage.query_plans.plans import recorded

SECOND = timedelta(seconds=1)
NO_LIMITS: dict[str, ChannelRules] = {}
SLACK = {"Slack": ChannelRules(Rate(SECOND, 2))}
HOLDING = ChannelRules(hold=timedelta(hours=24), backoff=lambda failures: 2**failures * WAIT)


async def claim(queue: Queue, rules: dict[str, ChannelRules] = NO_LIMITS) -> Claims:
    return await queue.repository.claim(request(rules=rules))


def messages(claims: Claims) -> list[str]:
    return [claimed.notification.message for claimed in claims.claims]


async def ask_to_wait(queue: Queue, claimed: Claim, wait: timedelta = SECOND) -> None:
    report = Report(claimed.notification.channel, ToldToWait(wait, "HTTP 429"), ChannelRules())
    assert await queue.repository.record_told_to_wait(claimed, TOOK, "HTTP 429", wait, report)


async def fail(queue: Queue, claimed: Claim, rules: ChannelRules = HOLDING) -> None:
    report = Report(
        claimed.notification.channel, Failed(claimed.notification.id, "HTTP 503", claimed.probe), rules
    )
    if claimed.probe:
        await queue.repository.record_failed_probe(claimed, TOOK, "HTTP 503", report)
    else:
        await queue.repository.record_failed_attempt(claimed, TOOK, "HTTP 503", WAIT, report)


async def queued(queue: Queue, number: int, channel: str = "Slack") -> None:
    for index in range(number):
        await queue.pending(channel=channel, message=f"{channel} {index}")
        queue.clock.advance(timedelta(microseconds=1))


async def queued_after_a_wait(queue: Queue, number: int) -> None:
    """Queue them in a channel whose receiver asked to wait; the wait is over."""
    await queued(queue, number)
    first, *others = (await claim(queue)).claims
    await ask_to_wait(queue, first)
    for claimed in others:
        await queue.repository.release(claimed)
    queue.clock.advance(SECOND)


async def test_being_told_to_wait_uses_no_retry_and_keeps_the_order(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    await queue.repository.release(second)
    await ask_to_wait(queue, first)
    waiting = await queue.repository.get(first.notification.id)
    assert (waiting.status, waiting.retry_count) == (NotificationStatus.FAILED, 0)
    assert (waiting.next_retry_at, waiting.last_error) == (queue.clock.now + SECOND, "HTTP 429")
    assert (waiting.wait_count, waiting.waiting_since) == (1, queue.clock.now)
    (attempt,) = await queue.repository.attempts(first.notification.id)
    assert attempt.outcome is AttemptOutcome.TOLD_TO_WAIT
    assert messages(await claim(queue)) == []
    queue.clock.advance(SECOND)
    assert messages(await claim(queue)) == ["Slack 0"]


async def test_a_requeue_resets_the_wait_count(queue: Queue) -> None:
    await queued(queue, 1)
    (claimed,) = (await claim(queue)).claims
    await ask_to_wait(queue, claimed)
    again = await queue.repository.requeue(claimed.notification.id)
    assert (again.wait_count, again.waiting_since) == (0, None)


async def test_after_a_wait_deliveries_run_one_at_a_time_until_a_few_succeed(queue: Queue) -> None:
    await queued(queue, 10)
    for claimed in (await claim(queue)).claims:
        await ask_to_wait(queue, claimed)
    queue.clock.advance(SECOND)
    for number in range(5):
        (claimed,) = (await claim(queue)).claims
        assert claimed.notification.message == f"Slack {number}"
        assert messages(await claim(queue)) == []
        await queue.repository.record_sent(claimed, TOOK)
    assert messages(await claim(queue)) == [f"Slack {number}" for number in range(5, 10)]


@pytest.mark.parametrize("rules", [HOLDING, None])
async def test_after_a_wait_a_failed_attempt_does_not_delay_the_next_one(
    queue: Queue, rules: ChannelRules | None
) -> None:
    await queued_after_a_wait(queue, 3)
    (single,) = (await claim(queue)).claims
    assert messages(await claim(queue)) == []
    if rules is None:
        await queue.repository.record_failed_attempt(single, TOOK, "no reason given", WAIT)
    else:
        await fail(queue, single, rules)
    assert len((await claim(queue)).claims) == 1


async def test_a_waiting_channel_does_not_delay_others(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    await ask_to_wait(queue, first, LONGEST_CLOSURE)
    await queue.repository.release(second)
    await queued(queue, 1, "Teams")
    assert messages(await claim(queue)) == ["Teams 0"]


async def test_a_process_without_a_rule_for_a_channel_respects_its_state(
    queue: Queue, database_url: str, clock: SettableClock
) -> None:
    await queued(queue, 3)
    assert len((await claim(queue, SLACK)).claims) == 2
    async with Database.open(database_url, clock=clock) as other:
        others = await NotificationRepository(other).claim(request("worker-2", rules={}))
    assert others.claims == ()


async def test_the_rate_limit_is_shared_and_claims_return_when_the_channel_opens(queue: Queue) -> None:
    await queued(queue, 5)
    start = queue.clock.now
    taken = await claim(queue, SLACK)
    assert messages(taken) == ["Slack 0", "Slack 1"]
    assert taken.opens_at == start + SECOND
    queue.clock.advance(SECOND - EARLY)
    early = await claim(queue, SLACK)
    assert (messages(early), early.opens_at) == ([], start + SECOND)
    queue.clock.advance(EARLY)
    assert messages(await claim(queue, SLACK)) == ["Slack 2"]


async def test_a_channel_below_its_rate_limit_has_no_opening_time(queue: Queue) -> None:
    await queued(queue, 1)
    assert (await claim(queue, SLACK)).opens_at is None


async def test_sessions_are_counted_across_processes(queue: Queue) -> None:
    await queued(queue, 5)
    rules = {"Slack": ChannelRules(sessions=3)}
    first = await claim(queue, rules)
    assert (len(first.claims), first.more_when_ended) == (3, True)
    second = await claim(queue, rules)
    assert (second.claims, second.more_when_ended) == ((), True)
    await queue.repository.record_sent(first.claims[0], TOOK)
    assert len((await claim(queue, rules)).claims) == 1


async def test_notifications_without_a_notifier_are_claimed_in_any_channel_state(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    await ask_to_wait(queue, first)
    await queue.repository.release(second)
    assert len(await queue.claim_due()) == 1


async def test_a_held_channel_gets_one_probe_at_a_time_without_using_retries(queue: Queue) -> None:
    await queued(queue, 4)
    *failing, last = (await claim(queue)).claims
    for claimed in failing:
        await fail(queue, claimed)
    await queue.repository.release(last)
    assert messages(await claim(queue)) == []
    queue.clock.advance(WAIT)
    (probe,) = (await claim(queue)).claims
    assert probe.probe
    assert messages(await claim(queue)) == []
    await fail(queue, probe)
    probed = await queue.repository.get(probe.notification.id)
    assert (probed.status, probed.retry_count) == (
        NotificationStatus.FAILED,
        probe.notification.retry_count,
    )
    queue.clock.advance(2 * WAIT - SECOND)
    assert messages(await claim(queue)) == []
    queue.clock.advance(SECOND)
    (probe,) = (await claim(queue)).claims
    await queue.repository.record_sent(probe, TOOK)
    assert len((await claim(queue)).claims) == 3


async def test_failures_during_an_outage_keep_their_place_when_the_channel_opens(queue: Queue) -> None:
    await queued(queue, 6)
    *failing, fourth, fifth, sixth = (await claim(queue)).claims
    for claimed in failing:
        await fail(queue, claimed)
    for claimed in (fourth, fifth, sixth):
        await queue.repository.release(claimed)
    queue.clock.advance(WAIT)
    (failed,) = (await claim(queue)).claims
    await fail(queue, failed)
    queue.clock.advance(2 * WAIT)
    (delivered,) = (await claim(queue)).claims
    # Probes take turns: one that can't be delivered anyway must not keep its channel closed.
    assert [probe.notification.message for probe in (failed, delivered)] == ["Slack 3", "Slack 4"]
    await queue.repository.record_sent(delivered, TOOK)
    assert messages(await claim(queue)) == ["Slack 0", "Slack 1", "Slack 2", "Slack 3", "Slack 5"]


async def test_without_a_hold_failures_do_not_close_the_channel(queue: Queue) -> None:
    await queued(queue, 4)
    *failing, last = (await claim(queue)).claims
    for claimed in failing:
        await fail(queue, claimed, ChannelRules())
    await queue.repository.release(last)
    assert messages(await claim(queue)) == ["Slack 3"]


async def test_a_success_between_failures_keeps_a_channel_open(queue: Queue) -> None:
    await queued(queue, 5)
    one, two, works, three, last = (await claim(queue)).claims
    await fail(queue, one)
    await fail(queue, two)
    await queue.repository.record_sent(works, TOOK)
    await fail(queue, three)
    await queue.repository.release(last)
    assert messages(await claim(queue)) == ["Slack 4"]


async def test_the_backlog_of_a_closed_channel_is_due_when_it_opens(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    told_at = queue.clock.now
    await ask_to_wait(queue, first, 10 * SECOND)
    await queue.repository.release(second)
    assert await next_due_at(queue.repository, told_at) == told_at + 10 * SECOND - EARLY


async def test_a_closed_channel_without_a_backlog_is_not_polled(queue: Queue) -> None:
    await queued(queue, 2)
    for claimed in (await claim(queue, SLACK)).claims:
        await queue.repository.record_sent(claimed, TOOK)
    assert await next_due_at(queue.repository, queue.clock.now) is None


@pytest.mark.sqlite
async def test_a_wrong_clock_does_not_close_a_channel_for_long(queue: Queue) -> None:
    await queued(queue, 2)
    first, second = (await claim(queue)).claims
    await queue.repository.release(second)
    queue.clock.advance(timedelta(days=2))
    await ask_to_wait(queue, first)
    queue.clock.advance(-timedelta(days=2))
    assert messages(await claim(queue)) == ["Slack 0"]


@pytest.mark.sqlite
async def test_a_rate_limited_channel_goes_on_at_its_rate_after_the_clock_was_set_back(queue: Queue) -> None:
    await queued(queue, 4)
    for claimed in (await claim(queue, SLACK)).claims:
        await queue.repository.record_sent(claimed, TOOK)
    queue.clock.advance(-timedelta(days=2))
    found = await claim(queue, SLACK)
    assert found.claims == ()
    assert found.opens_at == queue.clock.now + SECOND
    for message in ("Slack 2", "Slack 3"):
        queue.clock.advance(SECOND)
        assert messages(await claim(queue, SLACK)) == [message]


def test_a_request_counts_sessions_only_for_channels_with_a_limit() -> None:
    rules = {"Slack": ChannelRules(Rate(SECOND)), "Email": ChannelRules(sessions=3), "Teams": HOLDING}
    assert request(rules=rules).limited == {"Slack", "Email"}
    assert request(channels=CHANNELS).limited == frozenset()


async def test_a_recovered_channel_leaves_no_state_behind(queue: Queue, database: Database) -> None:
    await queued_after_a_wait(queue, 6)
    for _ in range(5):
        (claimed,) = (await claim(queue)).claims
        await queue.repository.record_sent(claimed, TOOK)
    rows = await database.read(
        lambda connection: connection.exec_driver_sql("SELECT channel FROM notification_channels").all()
    )
    assert rows == []


async def test_a_success_needs_no_report_while_only_another_channel_is_in_trouble(
    queue: Queue, database: Database
) -> None:
    await ask_to_wait(queue, await queue.claimed(channel="Slack"))
    claimed = await queue.claimed(channel="Email")
    before = database.changes.due.version
    await queue.repository.record_sent(claimed, TOOK)
    assert database.changes.due.version == before


async def test_a_claim_without_a_free_session_writes_nothing(queue: Queue) -> None:
    await queued(queue, 5)
    rules = {"Slack": ChannelRules(sessions=3)}
    await claim(queue, rules)
    with recorded() as statements:
        await claim(queue, rules)
    written = [text for text, _ in statements if text.startswith(("INSERT", "DELETE"))]
    assert written == []


async def test_a_claim_of_suspects_does_not_hide_that_a_channel_has_opened(queue: Queue) -> None:
    await queued(queue, 3)
    as_of = (await claim(queue, SLACK)).as_of
    queue.clock.advance(SECOND)
    await queue.repository.claim(request(suspects=True, rules=SLACK))
    assert await next_due_at(queue.repository, as_of) == as_of + SECOND - EARLY
