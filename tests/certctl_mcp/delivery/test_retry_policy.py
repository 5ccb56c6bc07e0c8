from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.delivery.retry_policy import Dead, Retry, RetryPolicy
from tests.builders import RETRY_POLICY

YEAR = timedelta(days=365)

durations = st.timedeltas(min_value=timedelta(microseconds=1), max_value=YEAR)
counts = st.one_of(st.integers(0, 100), st.integers(0, 2**31))
shares = st.floats(0, 1, exclude_max=True)
asked_for = st.none() | st.timedeltas(min_value=-YEAR, max_value=YEAR * 100)


@st.composite
def policies(draw: st.DrawFn, least_attempts: int = 1) -> RetryPolicy:
    base, cap = sorted((draw(durations), draw(durations)))
    return RetryPolicy(draw(st.integers(least_attempts, 100)), base, cap, draw(st.floats(0, 10)))


def waits(policy: RetryPolicy) -> list[timedelta]:
    """The backoff after each failure of a notification that never succeeds."""
    found: list[timedelta] = []
    while isinstance(fate := policy.after_failure(len(found)), Retry):
        found.append(fate.wait)
    return found


def test_the_default_backoff_is_1_2_4_and_8_minutes_and_the_fifth_failure_is_final() -> None:
    assert waits(RETRY_POLICY) == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]


def test_with_more_attempts_the_backoff_doubles_up_to_the_cap() -> None:
    minutes = [wait / timedelta(minutes=1) for wait in waits(replace(RETRY_POLICY, max_attempts=10))]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_with_one_attempt_the_first_failure_is_final() -> None:
    assert replace(RETRY_POLICY, max_attempts=1).after_failure(0) == Dead()


def test_retry_after_lengthens_the_backoff_and_never_shortens_it() -> None:
    policy = RETRY_POLICY
    assert policy.after_failure(0, retry_after=timedelta(minutes=5)) == Retry(timedelta(minutes=5))
    assert policy.after_failure(3, retry_after=timedelta(minutes=5)) == Retry(timedelta(minutes=8))
    assert policy.after_failure(0, retry_after=timedelta(days=1)) == Retry(timedelta(hours=1))


def test_jitter_adds_a_share_of_the_backoff() -> None:
    policy = replace(RETRY_POLICY, jitter=0.5)
    assert policy.after_failure(1, random=0.0) == Retry(timedelta(minutes=2))
    assert policy.after_failure(1, random=0.5) == Retry(timedelta(minutes=2, seconds=30))


@given(policies(), counts, asked_for, shares)
def test_a_notification_is_dead_exactly_when_its_attempts_are_used_up(
    policy: RetryPolicy, count: int, retry_after: timedelta | None, random: float
) -> None:
    fate = policy.after_failure(count, retry_after=retry_after, random=random)
    assert (fate == Dead()) is (count + 1 >= policy.max_attempts)


@given(policies(least_attempts=2), st.data(), asked_for, shares)
def test_a_backoff_is_at_least_the_rule_and_at_most_the_cap(
    policy: RetryPolicy, data: st.DataObject, retry_after: timedelta | None, random: float
) -> None:
    count = data.draw(st.integers(0, policy.max_attempts - 2))
    fate = policy.after_failure(count, retry_after=retry_after, random=random)
    assert isinstance(fate, Retry)
    assert policy.wait(count) <= fate.wait <= policy.backoff_cap
    assert fate.wait >= min(retry_after or timedelta(0), policy.backoff_cap)


@given(policies(), counts)
def test_the_backoff_doubles_with_every_failure_until_the_cap(policy: RetryPolicy, count: int) -> None:
    wait, longer = policy.wait(count), policy.wait(count + 1)
    assert longer == min(wait * 2, policy.backoff_cap)
    assert policy.wait(0) == policy.backoff_base


@given(policies())
def test_a_notification_is_attempted_as_often_as_the_policy_allows(policy: RetryPolicy) -> None:
    assert len(waits(policy)) + 1 == policy.max_attempts
