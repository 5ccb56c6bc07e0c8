"""Who delivers at present, and what nobody does, as the database shows it."""

from collections.abc import Sequence
from datetime import datetime

from certctl_mcp.delivery.certctl_at_work import RECENT
from certctl_mcp.services.delivering import Delivering
from storage.models import DeliveringProcess, UnservedChannel
from storage.reader import NotificationReader


async def left_to_nobody(
    repository: NotificationReader, delivering: Delivering
) -> tuple[UnservedChannel, ...]:
    """The channels that no live process has, with what therefore nobody delivers. Where certctl's server
    delivers, that is only what it has left."""
    if delivering.certctl_delivers:
        return await repository.stuck_channels(delivering.grace)
    return await repository.unserved_channels()


async def delivery_described(
    repository: NotificationReader,
    delivering: Delivering,
    processes: Sequence[DeliveringProcess],
    now: datetime,
) -> str | None:
    """See `Delivering.described`."""
    settled = 0
    if delivering.beside_certctl and not delivering.certctl_delivers and processes:
        began = min(process.started_at for process in processes)
        settled = await repository.settled_by_certctl(max(began, now - RECENT))
    return delivering.described(processes, settled_by_certctl=settled)
