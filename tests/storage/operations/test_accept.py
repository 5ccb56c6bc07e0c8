import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from storage.database import Database
from storage.errors import IdempotencyConflictError, NotificationNotFoundError
from storage.models import NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import NOON, Queue, new_notification
from tests.storage.raw_sql import integrity


async def test_an_accepted_notification_is_pending_without_attempts(
    repository: NotificationRepository,
) -> None:
    accepted = (await repository.accept(new_notification(certificate_id="mc-api"))).notification
    assert accepted.status is NotificationStatus.PENDING
    assert accepted.created_at == NOON
    assert (accepted.retry_count, accepted.attempt_count, accepted.abandoned_count) == (0, 0, 0)
    assert await repository.get(accepted.id) == accepted


async def test_contents_are_stored_unchanged(repository: NotificationRepository) -> None:
    contents = new_notification(message="Ünïcode \U0001f512, \"quotes\", 'more', \\ , {json}\n\t\x1b[31m")
    accepted = (await repository.accept(contents)).notification
    stored = await repository.get(accepted.id)
    assert stored.message == contents.message


async def test_ids_sort_by_time_of_acceptance(queue: Queue) -> None:
    ids = [(await queue.pending()).id for _ in range(20)]
    assert all(notification_id.startswith("notif-") for notification_id in ids)
    assert ids == sorted(ids)


async def test_a_repeated_key_returns_the_first_notification(repository: NotificationRepository) -> None:
    first = await repository.accept(new_notification(idempotency_key="renewal-7"))
    again = await repository.accept(new_notification(idempotency_key="renewal-7"))
    assert (first.created, again.created) == (True, False)
    assert again.notification == first.notification


async def test_a_repeated_key_returns_the_current_state_of_the_first_notification(queue: Queue) -> None:
    sent = await queue.sent(idempotency_key="renewal-7")
    again = await queue.repository.accept(new_notification(idempotency_key="renewal-7"))
    assert again.notification == sent


async def test_a_repeated_key_with_different_contents_is_a_conflict(
    repository: NotificationRepository,
) -> None:
    first = await repository.accept(new_notification(idempotency_key="renewal-7"))
    with pytest.raises(IdempotencyConflictError) as conflict:
        await repository.accept(new_notification(idempotency_key="renewal-7", message="another"))
    assert conflict.value.idempotency_key == "renewal-7"
    assert conflict.value.notification_id == first.notification.id


async def test_a_key_sent_many_times_concurrently_is_accepted_once(
    repository: NotificationRepository,
) -> None:
    offers = [repository.accept(new_notification(idempotency_key="renewal-7")) for _ in range(20)]
    answers = await asyncio.gather(*offers)
    assert len({answer.notification.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert len((await repository.list(NotificationFilter())).items) == 1


async def test_alerts_with_and_without_a_key_are_accepted_concurrently(
    repository: NotificationRepository,
) -> None:
    offers = [repository.accept(new_notification(idempotency_key=key)) for key in ("a", None, "a", None, "b")]
    answers = await asyncio.gather(*offers)
    assert [answer.created for answer in answers] == [True, True, False, True, True]


async def test_alerts_without_a_key_are_never_duplicates(queue: Queue) -> None:
    assert (await queue.pending()).id != (await queue.pending()).id


@pytest.mark.parametrize("field", ["message", "recipient", "channel", "type", "certificate_id"])
def test_text_that_a_database_cannot_store_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        new_notification(**{field: "before\0after"})


async def test_an_unknown_id_is_not_found(repository: NotificationRepository) -> None:
    with pytest.raises(NotificationNotFoundError) as missing:
        await repository.get("notif-unknown")
    assert missing.value.notification_id == "notif-unknown"


ACCEPT_AND_SHOW_IDS = """
import asyncio, sys
from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import new_notification

async def main() -> None:
    async with Database.open(sys.argv[1]) as database:
        repository = NotificationRepository(database)

        async def accept() -> None:
            accepted = await repository.accept(new_notification())
            print(accepted.notification.id, flush=True)

        await asyncio.gather(*(accept() for _ in range(100)))
        await asyncio.Event().wait()

asyncio.run(main())
"""


def accepted_before_the_kill(database_url: str, at_least: int) -> set[str]:
    """The ids that a process printed before it was killed, which happened once there were `at_least`."""
    arguments = [sys.executable, "-c", ACCEPT_AND_SHOW_IDS, database_url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        given = {child.stdout.readline().strip() for _ in range(at_least)}
        child.kill()
        return given | {line.strip() for line in child.stdout}


@pytest.mark.parametrize("ids_before_the_kill", [1, 100])
async def test_an_accepted_notification_survives_a_killed_process(
    database_path: Path, database_url: str, ids_before_the_kill: int
) -> None:
    accepted = accepted_before_the_kill(database_url, ids_before_the_kill)
    async with Database.open(database_url) as database:
        page = await NotificationRepository(database).list(NotificationFilter(), limit=500)
    assert len(accepted) >= ids_before_the_kill
    assert accepted <= {notification.id for notification in page.items}
    assert integrity(database_path) == "ok"
