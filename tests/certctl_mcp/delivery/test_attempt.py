import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.text.redaction import MAX_ERROR_BYTES
from storage.database import Database
from storage.models import AttemptOutcome, Claim, Notification, NotificationStatus
from tests.builders import LEASE, NOON, RETRY_POLICY, Queue, SettableClock
from tests.certctl_mcp.fake_notifiers import (
    CallbackNotifier,
    FailingNotifier,
    HangingNotifier,
    WorkingNotifier,
)
from tests.certctl_mcp.retry_loops import delivery
from tests.context_in_task import ContextInTask
from tests.storage.raw_sql import locked


async def deliver(delivering: Delivery, claim: Claim) -> AttemptOutcome | None:
    return await delivering.record(claim, await delivering.attempt(claim))


async def reloaded(queue: Queue, claim: Claim) -> Notification:
    return await queue.repository.get(claim.notification.id)


async def failing_with(
    database: Database, queue: Queue, error: BaseException, *, failures: int = 0
) -> Notification:
    """The notification after one more attempt, which failed with `error`."""
    notification = await queue.pending()
    for _ in range(failures):
        earlier = await queue.claim(notification.id)
        await queue.repository.record_failed_attempt(earlier, timedelta(0), "HTTP 503", timedelta(0))
    claim = await queue.claim(notification.id)
    await deliver(delivery(database, {"Webhook": FailingNotifier(queue.clock, error)}), claim)
    return await reloaded(queue, claim)


async def test_a_delivered_notification_is_sent(database: Database, queue: Queue) -> None:
    notifier = WorkingNotifier()
    claim = await queue.claimed()
    assert await deliver(delivery(database, {"Webhook": notifier}), claim) is AttemptOutcome.SENT
    assert notifier.received == [claim.notification]
    sent = await reloaded(queue, claim)
    assert (sent.status, sent.sent_at, sent.retry_count) == (NotificationStatus.SENT, NOON, 0)


@pytest.mark.parametrize(("failures", "minutes"), [(0, 1), (1, 2), (2, 4), (3, 8)])
async def test_each_failure_doubles_the_backoff(
    database: Database, queue: Queue, failures: int, minutes: int
) -> None:
    failed = await failing_with(database, queue, DeliveryFailedError("HTTP 502"), failures=failures)
    assert failed.status is NotificationStatus.FAILED
    assert failed.next_retry_at == NOON + timedelta(minutes=minutes)
    assert (failed.retry_count, failed.last_error) == (failures + 1, "HTTP 502")


async def test_the_fifth_failure_makes_a_dead_letter(database: Database, queue: Queue) -> None:
    dead = await failing_with(database, queue, DeliveryFailedError("HTTP 502"), failures=4)
    assert dead.status is NotificationStatus.DEAD
    assert (dead.retry_count, dead.next_retry_at, dead.last_error) == (4, None, "HTTP 502")


async def test_a_permanent_failure_is_dead_at_once(database: Database, queue: Queue) -> None:
    dead = await failing_with(database, queue, DeliveryFailedError("HTTP 410", permanent=True))
    assert (dead.status, dead.retry_count, dead.last_error) == (NotificationStatus.DEAD, 0, "HTTP 410")


@pytest.mark.parametrize(
    ("requested", "waited"),
    [
        pytest.param(timedelta(seconds=5), timedelta(minutes=1), id="earlier than the wait"),
        pytest.param(timedelta(minutes=20), timedelta(minutes=20), id="later"),
        pytest.param(timedelta(days=3), timedelta(hours=1), id="beyond the cap"),
    ],
)
async def test_retry_after_lengthens_the_backoff_up_to_the_cap(
    database: Database, queue: Queue, requested: timedelta, waited: timedelta
) -> None:
    failed = await failing_with(database, queue, DeliveryFailedError("HTTP 429", retry_after=requested))
    assert failed.next_retry_at == NOON + waited


async def test_jitter_adds_a_random_share_to_the_backoff(database: Database, queue: Queue) -> None:
    claim = await queue.claimed()
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 502"))
    jittery = replace(RETRY_POLICY, jitter=0.5)
    await deliver(delivery(database, {"Webhook": notifier}, policy=jittery, chance=lambda: 0.5), claim)
    assert (await reloaded(queue, claim)).next_retry_at == NOON + timedelta(seconds=75)


async def test_exceeding_the_send_timeout_is_a_failure(database: Database, queue: Queue) -> None:
    claim = await queue.claimed()
    impatient = delivery(database, {"Webhook": HangingNotifier()}, send_timeout=timedelta(milliseconds=20))
    assert await deliver(impatient, claim) is AttemptOutcome.FAILED
    assert (await reloaded(queue, claim)).last_error == "no answer within the send timeout of 0.02 s"
    (attempt,) = await queue.repository.attempts(claim.notification.id)
    assert attempt.duration is not None
    assert attempt.duration >= timedelta(milliseconds=20)


async def test_a_channel_can_have_a_longer_timeout(database: Database, queue: Queue) -> None:
    async def slow(_: Notification) -> None:
        await asyncio.sleep(0.1)

    claim = await queue.claimed()
    delivering = delivery(
        database,
        {"Webhook": CallbackNotifier(slow)},
        send_timeout=timedelta(milliseconds=20),
        longer_timeouts={"Webhook": timedelta(seconds=20)},
    )
    assert delivering.may_take_longer(claim)
    assert await deliver(delivering, claim) is AttemptOutcome.SENT


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words for it")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("severity"), "KeyError: 'severity'"),
        (TimeoutError("its own"), "TimeoutError: its own"),
        (ExceptionGroup("several", [OSError("a"), OSError("b")]), "several (2 sub-exceptions)"),
        (asyncio.CancelledError("of its own task"), "CancelledError: of its own task"),
        (SystemExit(3), "SystemExit: 3"),
        (UnprintableError(), "UnprintableError: <exception str() failed>"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_any_exception_of_a_notifier_is_an_ordinary_failure(
    database: Database, queue: Queue, error: BaseException, told: str
) -> None:
    failed = await failing_with(database, queue, error)
    assert failed.status is NotificationStatus.FAILED
    assert failed.last_error is not None
    assert failed.last_error.startswith("the notifier failed: ")
    assert failed.last_error.endswith(told)


async def test_a_notifier_that_cannot_be_built_is_an_ordinary_failure(
    database: Database, queue: Queue
) -> None:
    async def find(channel: str) -> Notifier | None:
        raise ImportError(f"no module for {channel}")

    claim = await queue.claimed()
    await deliver(delivery(database, {}, find_notifier=find), claim)
    failed = await reloaded(queue, claim)
    assert failed.last_error == "the notifier failed: ImportError: no module for Webhook"


async def test_building_a_notifier_does_not_count_towards_the_send_timeout(
    database: Database, queue: Queue
) -> None:
    async def find(_channel: str) -> Notifier | None:
        await asyncio.sleep(0.4)
        return WorkingNotifier()

    claim = await queue.claimed()
    impatient = delivery(database, {}, find_notifier=find, send_timeout=timedelta(milliseconds=300))
    assert await deliver(impatient, claim) is AttemptOutcome.SENT


async def test_an_error_is_stored_without_secrets(database: Database, queue: Queue) -> None:
    error = DeliveryFailedError("refused by https://bot:hunter22@example.com: password=hunter22")
    failed = await failing_with(database, queue, error)
    assert failed.last_error == "refused by https://[redacted]@example.com: password=[redacted]"


async def test_an_unexpected_exception_is_logged_without_its_message(
    database: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await failing_with(database, queue, RuntimeError("the key is hunter22"))
    assert "the notifier of channel 'Webhook' raised RuntimeError" in caplog.text
    assert "hunter22" not in caplog.text


@pytest.mark.parametrize("character", ["\0", "\ud800", "è"], ids=["NUL", "half a character", "two bytes"])
async def test_a_very_long_error_is_truncated(database: Database, queue: Queue, character: str) -> None:
    failed = await failing_with(database, queue, DeliveryFailedError(character * 1_000_000))
    (attempt,) = await queue.repository.attempts(failed.id)
    assert failed.last_error == attempt.error
    assert failed.last_error is not None
    assert MAX_ERROR_BYTES - 40 < len(failed.last_error.encode()) <= MAX_ERROR_BYTES
    assert "\0" not in failed.last_error


async def test_an_outcome_after_a_lost_lease_is_refused_and_logged(
    database: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    async def lose_the_lease(_: Notification) -> None:
        queue.clock.advance(LEASE)
        await queue.claim_due(worker="worker-2")

    slow = await queue.claimed()
    assert await deliver(delivery(database, {"Webhook": CallbackNotifier(lose_the_lease)}), slow) is None
    (attempt,) = await queue.repository.attempts(slow.notification.id)
    assert (attempt.worker, attempt.outcome, attempt.late) == ("worker-1", AttemptOutcome.SENT, True)
    assert (await reloaded(queue, slow)).lease_owner == "worker-2"
    assert f"{slow.notification.id}, attempt 1, came after its lease was lost and is refused" in caplog.text


@pytest.fixture
async def impatient(database_url: str, clock: SettableClock) -> AsyncIterator[Database]:
    """A database with no busy timeout."""
    context = ContextInTask(Database.open(database_url, clock=clock, busy_timeout=timedelta(0)))
    yield await context.enter()
    await context.exit()


async def test_an_outcome_is_retried_until_the_database_is_writable(
    impatient: Database, queue: Queue, database_path: Path
) -> None:
    claim = await queue.claimed()
    waits = []
    with ExitStack() as lock:

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                lock.close()

        lock.enter_context(locked(database_path))
        delivering = delivery(impatient, {"Webhook": WorkingNotifier()}, sleep=sleep)
        assert await deliver(delivering, claim) is AttemptOutcome.SENT
    assert waits == [0.5, 1, 2]
    assert (await reloaded(queue, claim)).delivered


async def test_an_outcome_is_valid_beyond_its_lease_until_another_worker_takes_over(
    impatient: Database, queue: Queue, database_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as lock:

        async def sleep(_: float) -> None:
            queue.clock.advance(LEASE)
            if queue.clock.now > NOON + 5 * LEASE:
                lock.close()

        claim = await queue.claimed()
        lock.enter_context(locked(database_path))
        delivering = delivery(impatient, {"Webhook": WorkingNotifier()}, sleep=sleep)
        assert await deliver(delivering, claim) is AttemptOutcome.SENT
    assert f"the outcome of {claim.notification.id}, attempt 1 (sent), is kept" in caplog.text
    (attempt,) = await queue.repository.attempts(claim.notification.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)
    assert await queue.claim_due() == ()
