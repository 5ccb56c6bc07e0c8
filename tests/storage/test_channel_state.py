"""The rules for a channel over all inputs: rate limits, requested waits, outages and pauses."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.channel_state import (
    LONGEST_CLOSURE,
    OUTAGE_AFTER,
    SHORTEST_WAIT,
    STEADY_AFTER,
    Allowance,
    ChannelRules,
    ChannelState,
    Pause,
    Rate,
    Reason,
    allowance,
    as_of,
    began,
    ended,
    failed,
    is_held,
    told_to_wait,
    worked,
)
from tests.builders import NOON, RETRY_POLICY

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
PROBE = timedelta(seconds=30)

RULES = ChannelRules(backoff=RETRY_POLICY.wait, probe_timeout=PROBE)
SLACK = replace(RULES, rate=Rate(SECOND, 5))
HOLDING = replace(RULES, hold=timedelta(hours=24))

rates = st.builds(Rate, st.timedeltas(timedelta(milliseconds=1), timedelta(minutes=10)), st.integers(1, 50))
pauses = st.timedeltas(timedelta(0), timedelta(minutes=20))


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_burst_starts_at_once_and_the_rest_at_the_rate_limit() -> None:
    state, now = ChannelState(), NOON
    begun: list[datetime] = []
    while len(begun) < 300:
        allowed = allowance(state, SLACK, now, 300 - len(begun))
        if allowed.count:
            begun += [now] * allowed.count
            state = began(state, SLACK, now, allowed.count)
        else:
            assert allowed.reason is Reason.RATE
            assert allowed.until is not None
            now = allowed.until
    assert begun == [NOON] * 5 + [after(second) for second in range(1, 296)]


@given(rates, st.lists(st.tuples(pauses, st.integers(0, 100)), max_size=40))
def test_the_rate_limit_holds_over_every_period(rate: Rate, requests: list[tuple[timedelta, int]]) -> None:
    rules = replace(RULES, rate=rate)
    state, now = ChannelState(), NOON
    begun: list[datetime] = []
    for passed, wanted in requests:
        now += passed
        allowed = allowance(state, rules, now, wanted)
        assert 0 <= allowed.count <= wanted
        state = began(state, rules, now, allowed.count)
        begun += [now] * allowed.count
    for first, beginning in enumerate(begun):
        for last in range(first, len(begun)):
            most = rate.burst + (begun[last] - beginning) // rate.interval
            assert last - first + 1 <= most


@given(rates, st.lists(st.tuples(pauses, st.integers(1, 100)), max_size=20))
def test_the_rate_limit_opens_exactly_at_the_returned_time(
    rate: Rate, requests: list[tuple[timedelta, int]]
) -> None:
    rules = replace(RULES, rate=rate)
    state, now = ChannelState(), NOON
    for passed, wanted in requests:
        now += passed
        allowed = allowance(state, rules, now, wanted)
        if allowed.until is not None:
            assert allowance(state, rules, allowed.until, wanted).count >= 1
            assert allowance(state, rules, allowed.until - timedelta(microseconds=1), wanted).count == 0
        state = began(state, rules, now, allowed.count)


@pytest.mark.parametrize(
    ("retry_after", "waited"),
    [
        (timedelta(0), SHORTEST_WAIT),
        (7 * SECOND, 7 * SECOND),
        (timedelta(days=3), LONGEST_CLOSURE),
    ],
)
def test_nothing_starts_before_the_time_requested_by_the_receiver(
    retry_after: timedelta, waited: timedelta
) -> None:
    state = told_to_wait(ChannelState(), NOON, retry_after)
    refused = Allowance(0, Reason.TOLD_TO_WAIT, NOON + waited)
    assert allowance(state, RULES, NOON + waited - timedelta(microseconds=1), 10) == refused
    assert allowance(state, RULES, NOON + waited, 10).count == 1


def test_without_a_requested_time_the_wait_doubles() -> None:
    state, now, waits = ChannelState(), NOON, []
    for _ in range(15):
        state = told_to_wait(state, now, None)
        until = allowance(state, RULES, now, 1).until
        assert until is not None
        waits.append(until - now)
        now = until
    assert waits == [min(2**number * SECOND, LONGEST_CLOSURE) for number in range(15)]
    assert told_to_wait(worked(state, now), now, None).wait_until == now + SHORTEST_WAIT


def test_simultaneous_responses_count_as_one_wait() -> None:
    state = ChannelState()
    for number in range(50):
        state = told_to_wait(state, after(number / 100), None)
    assert state.waits == 1
    assert state.wait_until == after(1.49)


def test_after_a_wait_a_few_single_attempts_reopen_the_channel() -> None:
    state, now = told_to_wait(ChannelState(), NOON, SECOND), after(1)
    for _ in range(STEADY_AFTER):
        assert allowance(state, RULES, now, 300) == Allowance(1)
        state = began(state, RULES, now, 1)
        assert allowance(state, RULES, now, 299) == Allowance(0, Reason.TOLD_TO_WAIT, now + PROBE)
        state = worked(state, now)
    assert state == ChannelState()
    assert allowance(state, RULES, now, 299) == Allowance(299)


def test_after_a_wait_the_next_single_attempt_begins_when_one_has_failed() -> None:
    state, now = told_to_wait(ChannelState(), NOON, SECOND), after(1)
    state = ended(began(state, RULES, now, 1), after(2), now)
    assert allowance(state, RULES, after(2), 300) == Allowance(1)


def test_the_end_of_an_attempt_from_before_the_wait_lets_no_second_one_begin() -> None:
    state, now = told_to_wait(ChannelState(), NOON, SECOND), after(1)
    state = ended(began(state, RULES, now, 1), after(2), NOON)
    assert allowance(state, RULES, after(2), 300) == Allowance(0, Reason.TOLD_TO_WAIT, now + PROBE)


def test_the_rate_limit_still_holds_after_a_wait() -> None:
    state = began(ChannelState(), SLACK, NOON, 5)
    state = told_to_wait(state, NOON, SECOND)
    state = worked(began(state, SLACK, after(1), 1), after(1))
    assert allowance(state, SLACK, after(1), 300) == Allowance(0, Reason.RATE, after(2))


def test_an_attempt_from_before_the_wait_does_not_end_it() -> None:
    state = told_to_wait(ChannelState(), after(1), 10 * SECOND)
    state = worked(state, NOON)
    assert allowance(state, RULES, after(2), 1) == Allowance(0, Reason.TOLD_TO_WAIT, after(11))


@given(st.integers(1, 20), st.integers(0, 40), st.integers(0, 40))
def test_the_limit_of_sessions_is_never_exceeded(most: int, in_flight: int, wanted: int) -> None:
    allowed = allowance(ChannelState(), replace(RULES, sessions=most), NOON, wanted, in_flight)
    assert allowed.count == max(0, min(wanted, most - in_flight))
    if in_flight >= most:
        assert allowed == Allowance(0, Reason.SESSIONS)


def outage(rules: ChannelRules, now: datetime = NOON, failures: int = OUTAGE_AFTER) -> ChannelState:
    state = ChannelState()
    for number in range(failures):
        state = failed(state, rules, now, f"notif-{number}")
    return state


def test_three_different_notifications_must_fail_before_a_channel_is_held() -> None:
    assert not is_held(outage(HOLDING, failures=2), NOON)
    assert is_held(outage(HOLDING), NOON)
    again = ChannelState()
    for _ in range(10):
        again = failed(again, HOLDING, NOON, "notif-1")
    assert not is_held(again, NOON)


def test_a_success_resets_the_count_of_failures() -> None:
    state = worked(outage(HOLDING, failures=2), NOON)
    assert not is_held(failed(state, HOLDING, NOON, "notif-9"), NOON)


def test_a_channel_without_a_hold_is_never_held() -> None:
    state = outage(RULES, failures=100)
    assert allowance(state, RULES, NOON, 500) == Allowance(500)


def probes(state: ChannelState, rules: ChannelRules, until: datetime) -> Iterator[datetime]:
    """The times at which a channel that never recovers is probed."""
    now = NOON
    while now < until:
        allowed = allowance(state, rules, now, 500)
        if allowed.count:
            assert allowed.count == 1
            yield now
            state = began(state, rules, now, 1)
            now += SECOND
            state = failed(state, rules, now, "notif-probe", probe=True)
        else:
            assert allowed.reason is Reason.OUTAGE
            assert allowed.until is not None
            now = allowed.until


def test_a_held_channel_is_probed_with_backoff() -> None:
    moments = [(at - NOON) / MINUTE for at in probes(outage(HOLDING), HOLDING, NOON + timedelta(hours=3))]
    steps = [round(later - earlier) for earlier, later in zip([0.0, *moments], moments, strict=False)]
    assert steps == [1, 2, 4, 8, 16, 32, 60]


def test_a_successful_probe_opens_the_channel_at_its_rate_limit() -> None:
    rules = replace(HOLDING, rate=Rate(SECOND, 5))
    state = outage(rules)
    now = NOON + MINUTE
    assert allowance(state, rules, now, 500) == Allowance(1)
    state = worked(began(state, rules, now, 1), now)
    assert not is_held(state, now)
    assert allowance(state, rules, now, 500) == Allowance(4)


def test_an_expired_hold_does_not_return_until_the_channel_recovers() -> None:
    state, over = outage(HOLDING), NOON + timedelta(hours=24)
    assert allowance(state, HOLDING, over, 500) == Allowance(500)
    for number in range(10):
        state = failed(state, HOLDING, over, f"later-{number}")
    assert allowance(state, HOLDING, over, 500) == Allowance(500)
    state = worked(state, over)
    for number in range(OUTAGE_AFTER):
        state = failed(state, HOLDING, over, f"again-{number}")
    assert is_held(state, over)


def test_attempts_in_flight_when_the_hold_began_are_not_probes() -> None:
    state = outage(HOLDING)
    assert failed(state, HOLDING, after(5), "notif-late") == state


def test_a_pause_overrides_everything_and_ends_by_itself() -> None:
    state = replace(outage(HOLDING), pause=Pause(NOON + 5 * MINUTE, "maintenance", "kim"))
    assert allowance(state, HOLDING, NOON + 2 * MINUTE, 10) == Allowance(0, Reason.PAUSED, NOON + 5 * MINUTE)
    assert allowance(state, HOLDING, NOON + 5 * MINUTE, 10) == Allowance(1)


EVENTS = st.sampled_from(["begin", "work", "end", "wait", "wait for a time", "fail"])


@given(
    rates | st.none(),
    st.booleans(),
    st.lists(st.tuples(EVENTS, pauses, st.integers(0, 5)), max_size=40),
)
def test_after_any_events_a_channel_reopens_within_an_hour(
    rate: Rate | None, holds: bool, events: list[tuple[str, timedelta, int]]
) -> None:
    rules = replace(HOLDING if holds else RULES, rate=rate)
    state, now = ChannelState(), NOON
    for event, passed, number in events:
        now += passed
        match event:
            case "begin":
                state = began(state, rules, now, allowance(state, rules, now, number).count)
            case "work":
                state = worked(state, now)
            case "end":
                state = ended(state, now, now)
            case "wait":
                state = told_to_wait(state, now, None)
            case "wait for a time":
                state = told_to_wait(state, now, number * MINUTE)
            case _:
                state = failed(state, rules, now, f"notif-{number}", probe=number == 0)
    waited = timedelta(0)
    while not (allowed := allowance(state, rules, now + waited, 1)).count:
        assert allowed.until is not None
        assert allowed.reason is not None
        assert allowed.until > now + waited
        waited = allowed.until - now
        assert waited <= LONGEST_CLOSURE + PROBE


@given(
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_a_wrong_clock_closes_a_channel_for_at_most_an_hour(
    full_at: datetime | None, wait_until: datetime | None, probe_at: datetime | None
) -> None:
    state = ChannelState(
        full_at=full_at, waits=1, recovering=1, wait_until=wait_until, probe_at=probe_at, held_until=None
    )
    allowed = allowance(as_of(state, NOON), SLACK, NOON, 1)
    assert allowed.until is None or NOON < allowed.until <= NOON + LONGEST_CLOSURE
