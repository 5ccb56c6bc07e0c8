"""Bulk actions: what would be done, what was done, and what was not done after an interruption."""

from datetime import timedelta
from functools import partial

import anyio
import pytest

from certctl_mcp.services.bulk import BulkActions, Interrupted
from storage.errors import DatabaseBusyError
from storage.models import AuditAction, BulkReport, NotificationFilter, NotificationStatus
from storage.operations.bulk import LARGEST_BULK
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock

ACTOR = "test"
DEAD = NotificationFilter(statuses=(NotificationStatus.DEAD,))


@pytest.fixture
def bulk(queue: Queue, clock: SettableClock) -> BulkActions:
    return BulkActions(queue.repository, clock)


async def nothing(report: BulkReport) -> None:
    """A progress callback that does nothing."""


async def test_a_preview_counts_what_would_change_and_what_would_not(bulk: BulkActions, queue: Queue) -> None:
    dead = await queue.dead(channel="Slack")
    await queue.sent()
    failed = await queue.failed(wait=timedelta(0))
    await queue.claim(failed.id)
    preview = await bulk.preview(AuditAction.REQUEUE, NotificationFilter())
    assert (preview.count, preview.sample_ids) == (1, (dead.id, failed.id))
    assert preview.left_out == BulkReport(under_way=1, other_status=1)
    assert (dict(preview.by_channel), dict(preview.by_status)) == ({"Slack": 1}, {NotificationStatus.DEAD: 1})


async def test_an_interrupted_action_is_reported_exactly(bulk: BulkActions, queue: Queue) -> None:
    number = 2 * LARGEST_BULK + 1
    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(queue.pending)
    preview = await bulk.preview(AuditAction.MARK_READ, NotificationFilter())
    with anyio.CancelScope() as scope:

        async def break_off(report: BulkReport) -> None:
            scope.cancel()

        await bulk.run(preview, break_off, actor=ACTOR)
    assert scope.cancelled_caught
    interrupted = bulk.interrupted(AuditAction.MARK_READ, actor=ACTOR)
    assert interrupted is not None
    assert (interrupted.report, interrupted.requested) == (BulkReport(changed=LARGEST_BULK), number)
    read = NotificationFilter(statuses=(NotificationStatus.READ,))
    assert await queue.repository.count(read) == LARGEST_BULK
    rest = await bulk.run(
        await bulk.preview(AuditAction.MARK_READ, NotificationFilter()), nothing, actor=ACTOR
    )
    assert rest.report.changed == number - LARGEST_BULK
    assert bulk.interrupted(AuditAction.MARK_READ, actor=ACTOR) is None


async def test_a_preview_waits_for_the_report_of_a_cancelled_batch_that_is_ending(
    bulk: BulkActions, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.dead()
    preview = await bulk.preview(AuditAction.REQUEUE, NotificationFilter())
    requeue_all = NotificationRepository.requeue_all
    begun, may_end = anyio.Event(), anyio.Event()

    async def slow(self: NotificationRepository, ids: tuple[str, ...], *, actor: str | None) -> BulkReport:
        begun.set()
        await may_end.wait()
        return await requeue_all(self, ids, actor=actor)

    async def look() -> None:
        assert (await bulk.preview(AuditAction.REQUEUE, NotificationFilter())).count == 0
        seen.append(bulk.interrupted(AuditAction.REQUEUE, actor=ACTOR))

    monkeypatch.setattr(NotificationRepository, "requeue_all", slow)
    seen: list[Interrupted | None] = []
    async with anyio.create_task_group() as looking, anyio.create_task_group() as acting:
        acting.start_soon(partial(bulk.run, preview, nothing, actor=ACTOR))
        await begun.wait()
        acting.cancel_scope.cancel()
        looking.start_soon(look)
        may_end.set()
    (interrupted,) = seen
    assert interrupted is not None
    assert interrupted.report == BulkReport(changed=1)


async def test_an_action_whose_progress_cannot_be_reported_is_interrupted(
    bulk: BulkActions, queue: Queue
) -> None:
    await queue.dead()
    preview = await bulk.preview(AuditAction.REQUEUE, NotificationFilter())

    async def gone(report: BulkReport) -> None:
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await bulk.run(preview, gone, actor=ACTOR)
    interrupted = bulk.interrupted(AuditAction.REQUEUE, actor=ACTOR)
    assert interrupted is not None
    assert interrupted.report == BulkReport(changed=1)


async def test_a_failure_before_anything_was_done_is_raised_as_the_database_error(
    bulk: BulkActions, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.dead()
    preview = await bulk.preview(AuditAction.REQUEUE, NotificationFilter())

    async def held(self: NotificationRepository, ids: tuple[str, ...], *, actor: str | None) -> BulkReport:
        raise DatabaseBusyError("held")

    monkeypatch.setattr(NotificationRepository, "requeue_all", held)
    with pytest.raises(DatabaseBusyError):
        await bulk.run(preview, nothing, actor=ACTOR)


async def test_notifications_that_changed_since_the_preview_are_left_alone_and_reported(
    bulk: BulkActions, queue: Queue
) -> None:
    dead = [await queue.dead() for _ in range(3)]
    preview = await bulk.preview(AuditAction.REQUEUE, NotificationFilter(ids=tuple(n.id for n in dead)))
    await queue.repository.mark_read(dead[0].id)
    assert (await bulk.run(preview, nothing, actor=ACTOR)).report.changed == 2
