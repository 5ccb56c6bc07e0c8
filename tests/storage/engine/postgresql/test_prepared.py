"""Statements stay prepared on their connection, also while another program changes the table."""

import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import LEASE, UNLIMITED, new_notification, request
from tests.postgresql import execute

pytestmark = pytest.mark.postgresql


async def test_a_claim_works_after_the_type_of_a_column_has_changed(postgresql_url: str) -> None:
    async with Database.open(postgresql_url) as database:
        repository = NotificationRepository(database)
        assert (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims == ()
        await execute(postgresql_url, "ALTER TABLE notification_events ALTER recipient TYPE text")
        accepted = await repository.accept(new_notification())
        (claim,) = (await repository.claim(request("worker-1", LEASE, 1, UNLIMITED))).claims
    assert claim.notification.id == accepted.notification.id
