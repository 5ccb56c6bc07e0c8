"""Changes to a queue, of which property tests make random sequences."""

from storage.models import AuditAction, NotificationFilter, NotificationStatus
from tests.builders import TOOK, WAIT, Queue


async def settle_all(queue: Queue) -> None:
    """Deliver everything that is due."""
    for claim in await queue.claim_due():
        await queue.repository.record_sent(claim, TOOK)


async def requeue_some(queue: Queue) -> None:
    await queue.repository.requeue_all(await some_ids(queue, AuditAction.REQUEUE))


async def purge_some(queue: Queue) -> None:
    await queue.repository.purge_all(
        await some_ids(queue, AuditAction.PURGE),
        statuses=[NotificationStatus.SENT, NotificationStatus.DEAD],
        created_until=queue.clock() + WAIT,
    )


async def some_ids(queue: Queue, action: AuditAction) -> tuple[str, ...]:
    """The ids of at most three notifications that the action applies to."""
    return (await queue.repository.matching_ids(NotificationFilter(eligible_for=action), limit=3)).ids
