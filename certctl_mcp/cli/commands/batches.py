"""How is one change made to many notifications? In batches that share transactions, with an exact account.

A batch that has begun is finished, also when the operator interrupts, so that nothing is left in doubt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import anyio

from certctl_mcp.cli.terminal.documents import Changes, Refusal
from certctl_mcp.runtime.signals import leave_on_signal
from storage.errors import NotificationError, StorageError
from storage.models import Notification

BATCH = 250
"""Changes asked for at once; the storage writes those that wait together in one transaction."""

Change = Callable[[str], Awaitable[Notification]]


async def change_each(ids: Sequence[str], change: Change, advance: Callable[[int], None]) -> Changes:
    """Ask for `change` of every id, and say what became of each.

    `advance` is told how many were dealt with after every batch. The first signal stops after the batch
    under way, a second one ends the process.
    """
    interrupted = anyio.Event()

    def leave(_signal: str) -> None:
        interrupted.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(leave_on_signal, leave)
        changes = await _change_each(ids, change, advance, interrupted)
        tasks.cancel_scope.cancel()
    return changes


async def _change_each(
    ids: Sequence[str], change: Change, advance: Callable[[int], None], interrupted: anyio.Event
) -> Changes:
    changed, unknown, come_to = 0, 0, 0
    refused: list[Refusal] = []
    failure: str | None = None
    while come_to < len(ids) and not interrupted.is_set() and failure is None:
        batch = ids[come_to : come_to + BATCH]
        for notification_id, problem in zip(
            batch, await asyncio.gather(*(_problem(change, each) for each in batch)), strict=True
        ):
            match problem:
                case None:
                    changed += 1
                case NotificationError():
                    refused.append(Refusal(id=notification_id, reason=str(problem)))
                case StorageError():
                    unknown += 1
                    failure = str(problem)
        come_to += len(batch)
        advance(len(batch))
    return Changes(
        changed=changed,
        refused=tuple(refused),
        untouched=len(ids) - come_to,
        unknown=unknown,
        failure=failure,
    )


async def _problem(change: Change, notification_id: str) -> NotificationError | StorageError | None:
    try:
        await change(notification_id)
    except (NotificationError, StorageError) as problem:
        return problem
    return None
