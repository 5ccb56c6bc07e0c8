"""Which programs deliver at present, and for which channels there are none, according to the database."""

from collections.abc import Sequence
from datetime import datetime

from certctl_mcp.delivery.certctl_warning import RECENT
from certctl_mcp.services.delivery_roles import DeliveryRoles
from storage.models import DeliveringProcess, UnservedChannel
from storage.reader import NotificationReader


async def channels_without_deliverer(
    repository: NotificationReader, delivery_roles: DeliveryRoles
) -> tuple[UnservedChannel, ...]:
    """The channels that no live process has, and what is waiting for them. If certctl's server delivers, that
    is only what it has left undelivered."""
    if delivery_roles.certctl_delivers:
        return await repository.stuck_channels(delivery_roles.grace)
    return await repository.unserved_channels()


async def delivery_described(
    repository: NotificationReader,
    delivery_roles: DeliveryRoles,
    processes: Sequence[DeliveringProcess],
    now: datetime,
) -> str | None:
    """See `DeliveryRoles.described`."""
    settled = 0
    if delivery_roles.beside_certctl and not delivery_roles.certctl_delivers and processes:
        began = min(process.started_at for process in processes)
        settled = await repository.settled_by_certctl(max(began, now - RECENT))
    return delivery_roles.described(processes, settled_by_certctl=settled)
