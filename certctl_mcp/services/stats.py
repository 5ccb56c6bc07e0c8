"""Statistics for people and monitors: the dashboard summary and the backlog."""

from typing import NamedTuple

from certctl_mcp.services.dashboard import DashboardSummary
from certctl_mcp.services.deliverers import channels_without_deliverer, delivery_described
from certctl_mcp.services.delivery_roles import OWN_DATABASE_ROLES, DeliveryRoles
from certctl_mcp.services.limitations import Limitation
from storage.database import Database
from storage.errors import StorageError
from storage.models import (
    ChannelClosure,
    Closure,
    DeliveringProcess,
    NotificationStatus,
    QueueCounts,
    UnservedChannel,
)
from storage.queries.backlog import Backlog, backlog
from storage.queries.certctl_inventory import count_agents, count_certificates, count_jobs
from storage.reader import NotificationReader


class _Queue(NamedTuple):
    """The part of a summary about the queue."""

    counts: QueueCounts
    processes: tuple[DeliveringProcess, ...]
    unserved: tuple[UnservedChannel, ...]
    delivery: str | None
    closures: tuple[ChannelClosure, ...]


class StatsService:
    """Counts for people and monitors. Without a notification repository the queue's counts are zero."""

    def __init__(
        self,
        database: Database,
        repository: NotificationReader | None,
        *,
        delivery_roles: DeliveryRoles = OWN_DATABASE_ROLES,
        limitation: Limitation | None = None,
    ) -> None:
        """`limitation`: the reason why this process can't do everything."""
        self._delivery_roles = delivery_roles
        self._database = database
        self._repository = repository
        self._limitations = () if limitation is None else (limitation,)

    async def dashboard_summary(self) -> DashboardSummary:
        """Doesn't raise if something can't be read: see `DashboardSummary.unreadable`."""
        now = self._database.clock()
        counts: dict[str, int] = {}
        unreadable: list[str] = []
        for part, count in (
            ("certificates", count_certificates),
            ("agents", count_agents),
            ("jobs", count_jobs),
        ):
            try:
                found = await self._database.read(count, now)
            except StorageError:
                found = None
            if found is None:
                unreadable.append(part)
            else:
                counts |= found
        found_queue = await self._queue()
        if found_queue is None:
            return DashboardSummary(
                **counts,
                unreadable=(*unreadable, "notifications"),
                off=self._limitations,
                completed_at=self._database.clock(),
            )
        queue, processes = found_queue.counts, found_queue.processes
        waiting = sum(one.waiting for one in found_queue.unserved)
        stuck = self._delivery_roles.certctl_delivers
        return DashboardSummary(
            **counts,
            processes_alive=len(processes),
            waiting_unserved=0 if stuck else waiting,
            notifications_stuck=waiting if stuck else 0,
            delivery=found_queue.delivery,
            channels_closed=sum(one.state is not Closure.RATE_LIMITED for one in found_queue.closures),
            notifications_dead=queue.by_status[NotificationStatus.DEAD],
            notifications=queue.by_status,
            notifications_undelivered=queue.undelivered,
            oldest_dead_at=queue.oldest_dead_at,
            next_retry_at=queue.next_retry_at,
            unreadable=tuple(unreadable),
            off=self._limitations,
            completed_at=self._database.clock(),
        )

    async def backlog(self) -> Backlog:
        """Raises: StorageError."""
        rescue = self._delivery_roles.certctl_delivers
        return await self._database.read(backlog, self._database.clock(), rescue=rescue)

    async def _queue(self) -> _Queue | None:
        repository = self._repository
        if repository is None:
            return None
        try:
            processes = await repository.processes()
            return _Queue(
                await repository.queue_counts(),
                processes,
                await channels_without_deliverer(repository, self._delivery_roles),
                await delivery_described(repository, self._delivery_roles, processes, self._database.clock()),
                await repository.channel_closures(),
            )
        except StorageError:
            return None
