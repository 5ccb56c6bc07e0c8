"""Failures that belong together become one span, and only those."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.spans import Span, spans
from storage.models import FailureGroup, NotificationStatus
from tests.builders import NOON

HOUR = timedelta(hours=1)


def group(
    hours: float = 0,
    *,
    channel: str = "Slack",
    status: NotificationStatus = NotificationStatus.DEAD,
    error: str | None = "HTTP 503",
    count: int = 1,
    lasts: timedelta = timedelta(0),
    abandoned: bool = False,
) -> FailureGroup:
    begins = NOON + hours * HOUR
    return FailureGroup(
        channel=channel,
        status=status,
        error=error,
        abandoned=abandoned,
        count=count,
        first_at=begins,
        last_at=begins + lasts,
        accepted_first_at=begins,
        accepted_last_at=begins,
        sample_id=f"notif-{channel}-{hours}-{count}",
    )


def spans_of(groups: Sequence[FailureGroup]) -> list[Span]:
    return spans(groups, at_most=1000)


def test_errors_of_the_same_kind_are_one_span() -> None:
    (span,) = spans_of([group(error="HTTP 503: a", count=2), group(error="HTTP 500: b", count=3)])
    assert (span.kind, span.dead, span.failing) == (FailureKind.OUTAGE, 5, 0)


def test_channels_and_kinds_have_separate_spans() -> None:
    found = spans_of([group(), group(channel="Email"), group(error="HTTP 401")])
    assert {(span.channel, span.kind) for span in found} == {
        ("Slack", FailureKind.OUTAGE),
        ("Email", FailureKind.OUTAGE),
        ("Slack", FailureKind.CREDENTIALS),
    }


def test_dead_and_failing_are_counted_separately() -> None:
    (span,) = spans_of([group(count=2), group(status=NotificationStatus.FAILED, count=7)])
    assert (span.dead, span.failing) == (2, 7)


def test_failures_up_to_two_hours_apart_are_one_span() -> None:
    (span,) = spans_of([group(0.9), group(3.1), group(2, lasts=timedelta(minutes=59)), group(5.99)])
    assert (span.first_at, span.last_at) == (NOON + 0.9 * HOUR, NOON + 5.99 * HOUR)


def test_a_longer_pause_separates_two_spans() -> None:
    later, earlier = spans_of([group(0.9, count=2), group(3.9, count=3)])
    assert (earlier.dead, later.dead) == (2, 3)


def test_if_there_are_too_many_spans_longer_pauses_are_bridged() -> None:
    now_and_then = [group(hours) for hours in range(0, 100, 5)]
    assert len(spans(now_and_then, at_most=20)) == 20
    (span,) = spans(now_and_then, at_most=19)
    assert (span.dead, span.first_at, span.last_at) == (20, NOON, NOON + 95 * HOUR)


def test_no_more_spans_are_merged_than_necessary() -> None:
    nights = [group(24 * night + hour) for night in range(3) for hour in (0, 5)]
    assert [span.dead for span in spans(nights, at_most=3)] == [2, 2, 2]


def test_channels_and_kinds_are_never_merged_however_many_there_are() -> None:
    assert len(spans([group(channel=f"Channel {number}") for number in range(30)], at_most=12)) == 30


def test_spans_with_the_most_dead_letters_come_first() -> None:
    failing = group(channel="Teams", status=NotificationStatus.FAILED, count=99)
    found = spans_of([group(channel="Email", count=1), group(count=8), failing])
    assert [span.channel for span in found] == ["Slack", "Email", "Teams"]


def test_the_sample_is_a_dead_letter_with_the_most_common_error() -> None:
    rare, common = group(1, error="HTTP 503: rare", count=1), group(0, error="HTTP 503: common", count=5)
    failing = group(2, status=NotificationStatus.FAILED, error="HTTP 503: failing", count=9)
    (span,) = spans_of([rare, failing, common])
    assert (span.sample_id, span.error) == (common.sample_id, "HTTP 503: common")


def test_abandoned_notifications_are_recognized_without_an_error() -> None:
    (span,) = spans_of([group(error=None, abandoned=True)])
    assert span.kind is FailureKind.ABANDONED


groups = st.lists(
    st.builds(
        group,
        st.floats(0, 48),
        channel=st.sampled_from(["Slack", "Email"]),
        status=st.sampled_from([NotificationStatus.DEAD, NotificationStatus.FAILED]),
        error=st.sampled_from(["HTTP 503", "HTTP 401", "", None]),
        count=st.integers(1, 5),
        lasts=st.timedeltas(timedelta(0), timedelta(minutes=59)),
    )
)


@given(groups)
def test_nothing_is_lost_and_no_two_spans_could_be_merged(given_groups: Sequence[FailureGroup]) -> None:
    found = spans_of(given_groups)
    assert sum(span.dead + span.failing for span in found) == sum(group.count for group in given_groups)
    for one in found:
        for other in found:
            if one is not other and (one.channel, one.kind) == (other.channel, other.kind):
                assert apart(one, other) or apart(other, one)


def apart(earlier: Span, later: Span) -> bool:
    return clock_hour(later.first_at) - clock_hour(earlier.last_at) > 2 * HOUR


def clock_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
