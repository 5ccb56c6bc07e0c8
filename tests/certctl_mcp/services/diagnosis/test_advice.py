"""The advice follows from the kind of failure and the current state of the channel."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.delivery_roles import Deliverer
from certctl_mcp.services.diagnosis.advice import ChannelStatus, advise
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from certctl_mcp.services.diagnosis.spans import Span
from storage.models import ChannelClosure, Closure
from tests.builders import NOON

SPAN = Span(
    channel="Slack",
    kind=FailureKind.OUTAGE,
    dead=5,
    failing=0,
    first_at=NOON,
    last_at=NOON + timedelta(hours=1),
    accepted_first_at=NOON,
    accepted_last_at=NOON,
    sentence="HTTP 503",
    sample_id="notif-1",
    error="HTTP 503",
)
BEFORE = ChannelStatus(Deliverer.PROCESS, delivered_at=NOON)
SINCE = ChannelStatus(Deliverer.PROCESS, delivered_at=NOON + timedelta(hours=2))
NEVER = ChannelStatus(Deliverer.PROCESS, delivered_at=None)
NOT_CONFIGURED = ChannelStatus(Deliverer.NOBODY, delivered_at=None)
CERTCTL = ChannelStatus(Deliverer.CERTCTL, delivered_at=None)

OF_ONE_ALERT = {FailureKind.RECIPIENT, FailureKind.REFUSED, FailureKind.MAILBOX, FailureKind.ABANDONED}
OF_CHANNEL = [kind for kind in FailureKind if kind not in OF_ONE_ALERT | {FailureKind.NO_NOTIFIER}]


@pytest.mark.parametrize("kind", OF_CHANNEL)
def test_for_a_channel_that_delivers_again_the_advice_is_to_requeue(kind: FailureKind) -> None:
    advice = advise(replace(SPAN, kind=kind), SINCE)
    assert advice.requeue
    assert advice.action == "it has been delivering again since 2026-01-01 14:00:00 UTC; requeue now"


@pytest.mark.parametrize("kind", OF_CHANNEL)
@pytest.mark.parametrize("standing", [BEFORE, NEVER])
def test_for_a_channel_that_does_not_the_advice_is_to_fix_it_first(
    kind: FailureKind, standing: ChannelStatus
) -> None:
    advice = advise(replace(SPAN, kind=kind), standing)
    assert advice.requeue
    assert advice.action == REMEDIES[kind].fix


@pytest.mark.parametrize(("replaced", "how_many"), [(2, "2 of them"), (5, "all of them")])
def test_the_advice_to_requeue_mentions_deliveries_over_a_fallback(replaced: int, how_many: str) -> None:
    action = advise(replace(SPAN, replaced=replaced), BEFORE).action
    assert action.endswith(f"; {how_many} were delivered over the fallback, and arrive again if requeued")


@pytest.mark.parametrize("kind", sorted(OF_ONE_ALERT))
def test_deliveries_of_other_alerts_do_not_change_the_advice_for_a_refused_one(kind: FailureKind) -> None:
    advice = advise(replace(SPAN, kind=kind), SINCE)
    assert advice.action == REMEDIES[kind].fix
    assert advice.requeue is (kind in {FailureKind.ABANDONED, FailureKind.MAILBOX})
    assert ("mark these read" in advice.action) is not advice.requeue


@pytest.mark.parametrize("kind", FailureKind)
def test_for_an_unconfigured_channel_the_advice_is_not_to_requeue(kind: FailureKind) -> None:
    advice = advise(replace(SPAN, kind=kind), NOT_CONFIGURED)
    assert not advice.requeue
    assert "no running process has this channel" in advice.action


def test_once_a_missing_notifier_is_configured_the_advice_is_to_requeue() -> None:
    advice = advise(replace(SPAN, kind=FailureKind.NO_NOTIFIER), NEVER)
    assert advice.requeue
    assert advice.action == "it is configured now: requeue"


@pytest.mark.parametrize("kind", FailureKind)
def test_for_notifications_still_being_retried_the_advice_is_not_to_requeue(kind: FailureKind) -> None:
    advice = advise(replace(SPAN, kind=kind, dead=0, failing=3), NEVER)
    assert not advice.requeue
    assert "retr" in advice.action


@pytest.mark.parametrize("kind", FailureKind)
def test_if_certctl_delivers_failed_notifications_must_be_requeued(kind: FailureKind) -> None:
    advice = advise(replace(SPAN, kind=kind, dead=0, failing=3), CERTCTL)
    assert advice.requeue
    assert "certctl's server never retries them" in advice.action


def test_if_certctl_delivers_only_its_own_channels_can_be_requeued() -> None:
    advice = advise(replace(SPAN, channel="Pager in the cellar"), CERTCTL)
    assert not advice.requeue
    assert "no such channel" in advice.action


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Closure.PAUSED, "its channel is paused until 2026-01-01 15:00:00 UTC"),
        (Closure.TOLD_TO_WAIT, "its receiver asked to wait until 2026-01-01 15:00:00 UTC"),
        (Closure.HELD, "its channel is held in an outage, and is probed again at 2026-01-01 15:00:00 UTC"),
    ],
)
def test_the_advice_for_a_closed_channel_takes_precedence(state: Closure, said: str) -> None:
    closed = ChannelClosure(channel="Slack", state=state, until=NOON + timedelta(hours=3), waiting=5)
    advice = advise(SPAN, replace(SINCE, closed=closed))
    assert advice.action == f"{said}; requeued notifications wait until then and use up no attempts"
    assert advice.requeue


def test_a_rate_limit_is_no_reason_to_wait() -> None:
    closed = ChannelClosure(
        channel="Slack", state=Closure.RATE_LIMITED, until=NOON + timedelta(hours=3), waiting=5
    )
    assert advise(SPAN, replace(SINCE, closed=closed)) == advise(SPAN, SINCE)
