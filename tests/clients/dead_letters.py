"""Dead letters to triage: alerts that a receiver refused and would accept now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

from certctl_mcp.config.settings import load_settings
from certctl_mcp.runtime.application import open_application
from storage.models import NotificationStatus
from tests.builders import new_notification
from tests.clients.receiver import Receiver, receiving

DEAD = 2


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters, in a database that each client gets a copy of."""

    ids: list[str]
    database: Path
    receiver: Receiver

    def copied_to(self, place: Path) -> dict[str, str]:
        """The settings of a server that has its own copy and delivers to a path named like the directory."""
        return _settings(Path(copy(self.database, place)), self.receiver.url(f"/{place.name}"))

    def delivered_from(self, place: Path) -> list[str]:
        """The ids of the notifications that such a server has delivered."""
        return self.receiver.accepted[f"/{place.name}"]

    def has_delivered_from(self, place: Path, within: float) -> bool:
        """Whether all are delivered; waits for it for `within` seconds."""
        return self.receiver.has_accepted(f"/{place.name}", len(self.ids), within)


@contextmanager
def create_dead_letters(place: Path) -> Iterator[DeadLetters]:
    database = place / "notifications.db"
    with receiving() as receiver:
        ids = asyncio.run(_dead_letters(_settings(database, receiver.url("/"))))
        receiver.repaired = True
        yield DeadLetters(ids, database, receiver)


async def _dead_letters(settings: dict[str, str]) -> list[str]:
    at_once = settings | {"CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "1"}
    async with open_application(load_settings(None, at_once)) as application:
        sent = [await application.notifications.send(new_notification(), actor=None) for _ in range(DEAD)]
        await application.notifications.retry_failed_notifications()
        ids = [accepted.notification.id for accepted in sent]
        for each in ids:
            notification, _ = await application.notifications.get(each)
            assert notification.status is NotificationStatus.DEAD
    return ids


def _settings(database: Path, webhook: str) -> dict[str, str]:
    return {
        "CERTCTL_DATABASE_URL": f"sqlite:///{database}",
        "CERTCTL_WEBHOOK_URL": webhook,
        "CERTCTL_MCP_TOOLS": "triage,send,requeue,settle,channels,purge",
    }
