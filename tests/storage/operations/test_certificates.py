"""On certctl's own database, an alert can only be about an existing certificate."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.database import Database
from storage.errors import UnknownCertificateError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.context_in_task import ContextInTask
from tests.storage.raw_sql import run

_CERTIFICATES = "CREATE TABLE managed_certificates (id TEXT PRIMARY KEY)"
_REFERENCE = "REFERENCES managed_certificates (id)"
_CERTCTL_TABLE = f"""
CREATE TABLE notification_events (
  id TEXT PRIMARY KEY, type VARCHAR(255) NOT NULL, certificate_id TEXT {_REFERENCE},
  channel VARCHAR(255) NOT NULL, recipient VARCHAR(255) NOT NULL, message TEXT NOT NULL,
  status VARCHAR(50) NOT NULL DEFAULT 'pending', sent_at TIMESTAMPTZ, error TEXT,
  retry_count INTEGER NOT NULL DEFAULT 0, next_retry_at TIMESTAMPTZ, last_error TEXT,
  created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
_AS_IF_CERTCTL_HAD_IT = f"ALTER TABLE notification_events ADD FOREIGN KEY (certificate_id) {_REFERENCE}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    run(database_url, _CERTIFICATES)
    run(database_url, "INSERT INTO managed_certificates VALUES ('mc-known')")
    run(database_url, _CERTCTL_TABLE if database_url.startswith("sqlite") else _AS_IF_CERTCTL_HAD_IT)
    context = ContextInTask(Database.open(database_url))
    yield await context.enter()
    await context.exit()


@pytest.mark.parametrize("key", [None, "key-1"])
async def test_an_alert_about_an_unknown_certificate_is_refused(
    repository: NotificationRepository, key: str | None
) -> None:
    with pytest.raises(UnknownCertificateError, match="'mc-unknown'") as refused:
        await repository.accept(new_notification(certificate_id="mc-unknown", idempotency_key=key))
    assert refused.value.certificate_id == "mc-unknown"
    assert (await repository.list(NotificationFilter())).items == ()


async def test_a_refused_alert_does_not_fail_others(repository: NotificationRepository) -> None:
    certificates = ["mc-known", None, "mc-unknown", "mc-known", "mc-lost", *[None] * 40]
    answers = await asyncio.gather(
        *(repository.accept(new_notification(certificate_id=each)) for each in certificates),
        return_exceptions=True,
    )
    refused = [answer.certificate_id for answer in answers if isinstance(answer, UnknownCertificateError)]
    assert refused == ["mc-unknown", "mc-lost"]
    page = await repository.list(NotificationFilter(), limit=100)
    assert len(page.items) == len(certificates) - len(refused)
