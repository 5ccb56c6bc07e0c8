"""One change to many notifications: the account is exact, however it ends."""

import os
import signal
from collections.abc import Callable

from certctl_mcp.cli.commands.batches import BATCH, Change, change_each
from certctl_mcp.cli.terminal.documents import Changes, Refusal
from storage.errors import NotificationNotFoundError, StorageError
from storage.models import Notification
from tests.builders import notification

IDS = [f"notif-{number:04}" for number in range(3 * BATCH)]


def changing(happens: Callable[[str], None]) -> Change:
    async def change(notification_id: str) -> Notification:
        happens(notification_id)
        return notification(id=notification_id)

    return change


async def changes_of(ids: list[str], happens: Callable[[str], None]) -> Changes:
    return await change_each(ids, changing(happens), lambda _count: None)


async def test_each_is_changed_once_and_progress_adds_up() -> None:
    seen: list[str] = []
    advanced: list[int] = []
    changes = await change_each(IDS, changing(seen.append), advanced.append)
    assert sorted(seen) == IDS
    assert advanced == [BATCH] * 3
    assert changes == Changes(changed=len(IDS), refused=(), untouched=0, unknown=0, failure=None)


async def test_a_refusal_stops_none_of_the_others() -> None:
    def refuse_one(notification_id: str) -> None:
        if notification_id == IDS[1]:
            raise NotificationNotFoundError(notification_id)

    changes = await changes_of(IDS, refuse_one)
    assert changes.changed == len(IDS) - 1
    assert changes.refused == (Refusal(id=IDS[1], reason="no notification has the id 'notif-0001'"),)


async def test_interrupted_it_finishes_its_batch_and_leaves_the_rest() -> None:
    def interrupt(notification_id: str) -> None:
        if notification_id == IDS[0]:
            os.kill(os.getpid(), signal.SIGINT)

    changes = await changes_of(IDS, interrupt)
    assert changes.changed + changes.untouched == len(IDS)
    assert changes.changed in (BATCH, 2 * BATCH)
    assert changes.changed % BATCH == 0


async def test_a_database_that_fails_ends_it_with_what_is_not_known() -> None:
    def fail_in_the_second_batch(notification_id: str) -> None:
        if notification_id in IDS[BATCH : BATCH + 10]:
            raise StorageError("the disk is full")

    changes = await changes_of(IDS, fail_in_the_second_batch)
    assert changes == Changes(
        changed=2 * BATCH - 10, refused=(), untouched=BATCH, unknown=10, failure="the disk is full"
    )
