"""How does everything stand? The dashboard summary: certctl's fields, and the queue's beside them."""

from collections.abc import Mapping

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from storage.database import Database
from storage.errors import StorageError
from storage.fleet import count_agents, count_certificates, count_jobs
from storage.models import NotificationStatus, QueueCounts
from storage.notifications import NotificationRepository


class DashboardSummary(BaseModel):
    """Best effort: a count that can't be read is zero and named in `unreadable`."""

    model_config = ConfigDict(frozen=True)

    total_certificates: int = 0
    expiring_certificates: int = 0
    """Within 30 days."""
    expired_certificates: int = 0
    revoked_certificates: int = 0
    active_agents: int = 0
    """Heard of within 5 minutes."""
    offline_agents: int = 0
    total_agents: int = 0
    pending_jobs: int = 0
    failed_jobs: int = 0
    complete_jobs: int = 0
    notifications_dead: int = 0
    notifications: Mapping[NotificationStatus, int] = Field(default_factory=dict)
    notifications_undelivered: int = 0
    """Counted as done though nothing was delivered, for want of a notifier."""
    oldest_dead_at: AwareDatetime | None = None
    next_retry_at: AwareDatetime | None = None
    unreadable: tuple[str, ...] = ()
    completed_at: AwareDatetime


class StatsService:
    """Counts for people and monitors. Without a notification repository the queue's counts are zero."""

    def __init__(self, database: Database, repository: NotificationRepository | None) -> None:
        self._database = database
        self._repository = repository

    async def dashboard_summary(self) -> DashboardSummary:
        """Never raises for what can't be read: see `DashboardSummary.unreadable`."""
        now = self._database.clock()
        counts: dict[str, int] = {}
        unreadable: list[str] = []
        for part, count in (
            ("certificates", count_certificates),
            ("agents", count_agents),
            ("jobs", count_jobs),
        ):
            try:
                async with self._database.read() as connection:
                    found = await count(connection, now)
            except StorageError:
                found = None
            if found is None:
                unreadable.append(part)
            else:
                counts |= found
        queue = await self._queue()
        if queue is None:
            return DashboardSummary(
                **counts, unreadable=(*unreadable, "notifications"), completed_at=self._database.clock()
            )
        return DashboardSummary(
            **counts,
            notifications_dead=queue.by_status[NotificationStatus.DEAD],
            notifications=queue.by_status,
            notifications_undelivered=queue.undelivered,
            oldest_dead_at=queue.oldest_dead_at,
            next_retry_at=queue.next_retry_at,
            unreadable=tuple(unreadable),
            completed_at=self._database.clock(),
        )

    async def _queue(self) -> QueueCounts | None:
        if self._repository is None:
            return None
        try:
            return await self._repository.queue_counts()
        except StorageError:
            return None
