"""The channels, the results of their attempts, and the processes that deliver over them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from certctl_mcp.services.deliverers import channels_without_deliverer, delivery_described
from certctl_mcp.services.delivery_roles import CERTCTL_CHANNELS, Deliverer, DeliveryRoles
from certctl_mcp.services.limitations import Limitation
from certctl_mcp.services.next_steps import TOOLS, Remedies, after_bulk_requeue
from storage.clock import Clock
from storage.models import (
    STANDSTILL,
    ChannelClosure,
    ChannelRecord,
    Closure,
    DeliveringProcess,
    NotificationFilter,
    UnservedChannel,
    channels_of,
)
from storage.reader import NotificationReader

LATELY = timedelta(days=1)
"""The period over which a channel's attempts are summarized."""


class ChannelHealth(BaseModel):
    """A configured channel and the results of its recent attempts."""

    model_config = ConfigDict(frozen=True)

    name: str
    destination: str
    """Its kind and address, without secrets."""
    record: ChannelRecord | None
    """None if nothing was attempted recently."""
    processes: int = 0
    """Live processes that deliver over it."""
    closed: ChannelClosure | None = None
    """Why nothing is sent over it now."""


class Channels:
    """The channels of this process and of all others. All methods let `StorageError` pass through."""

    def __init__(
        self,
        repository: NotificationReader,
        configured: Mapping[str, str],
        delivery_roles: DeliveryRoles,
        limitation: Limitation | None,
        clock: Clock,
    ) -> None:
        """`configured` maps the name of each channel of this process to its description."""
        self._repository = repository
        self._configured = configured
        self._delivery_roles = delivery_roles
        self._limitation = limitation
        self._clock = clock

    @property
    def configured(self) -> tuple[str, ...]:
        """The names of the channels of this process."""
        return tuple(self._configured)

    async def elsewhere(self) -> tuple[str, ...]:
        """The channels that only other live processes have."""
        return self._elsewhere(await self._repository.processes())

    async def health(self) -> tuple[ChannelHealth, ...]:
        """The configured channels in the order of the settings, then those that only other processes have."""
        records = {record.channel: record for record in await self._repository.channel_records(LATELY)}
        processes = await self._repository.processes()
        closures = {closure.channel: closure for closure in await self._repository.channel_closures()}
        destinations = dict(self._configured)
        for channel in self._elsewhere(processes):
            hosts = sorted({process.host for process in processes if channel in process.channels})
            destinations[channel] = f"configured in another process, on {', '.join(hosts)}"
        for channel in sorted(closures.keys() - destinations.keys()):
            destinations[channel] = "no running process has it"
        return tuple(
            ChannelHealth(
                name=name,
                destination=destination,
                closed=closures.get(name),
                record=records.get(name),
                processes=sum(name in process.channels for process in processes),
            )
            for name, destination in destinations.items()
        )

    async def deliverer(self, channel: str, *, serving: bool = False) -> Deliverer:
        """Which program delivers the notifications of a channel at present.

        `serving`: this process is a server, which delivers over its channels unless it is limited.
        """
        (found,) = await self.deliverers((channel,), serving=serving)
        return found

    async def deliverers(self, channels: Iterable[str], *, serving: bool = False) -> frozenset[Deliverer]:
        """The same for several channels; see `deliverer`."""
        processes = await self._repository.processes()
        here = self._configured if serving and self._limitation is None else ()
        own = Deliverer.RESCUE if self._delivery_roles.certctl_delivers else Deliverer.PROCESS
        return frozenset(
            own if channel in here else self._delivery_roles.deliverer(channel, processes)
            for channel in channels
        )

    async def closure(self, channel: str) -> ChannelClosure | None:
        """Why nothing is sent over a channel now; None if it is open."""
        closures = await self._repository.channel_closures()
        return next((closure for closure in closures if closure.channel == channel), None)

    async def closed(self, *states: Closure) -> frozenset[str]:
        """The channels that are closed now, for one of these reasons."""
        closures = await self._repository.channel_closures()
        return frozenset(closure.channel for closure in closures if closure.state in states)

    async def after_bulk_requeue(
        self, channels: Collection[str], *, serving: bool = False, remedies: Remedies = TOOLS
    ) -> str:
        """What happens next to notifications that have just been requeued over these channels.

        `serving`: as for `deliverer`.
        """
        return after_bulk_requeue(
            await self.deliverers(channels, serving=serving),
            channels=len(channels),
            closed=len((await self.closed(*STANDSTILL)).intersection(channels)),
            remedies=remedies,
        )

    async def deliverable(self) -> frozenset[str]:
        """The channels over which requeued notifications are delivered."""
        certctl = CERTCTL_CHANNELS if self._delivery_roles.certctl_delivers else frozenset[str]()
        return certctl.union(self._configured, await self.elsewhere())

    async def delivery(self) -> str | None:
        """Which programs deliver on certctl's database, in words; None on other databases."""
        processes = await self._repository.processes()
        return await delivery_described(self._repository, self._delivery_roles, processes, self._clock())

    async def sent_by_certctl(self, since: datetime, until: datetime) -> str | None:
        """If certctl's server delivers: the outcomes of the alerts of a period, because its attempts are not
        recorded. Otherwise None."""
        if not self._delivery_roles.certctl_delivers:
            return None
        counts: Counter[str] = Counter()
        wanted = NotificationFilter(created_from=since, created_until=until)
        for share in await self._repository.breakdown(wanted):
            counts[share.status.value] += share.count
        shown = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return (
            "These are the attempts of certctl-mcp. certctl's server delivers and records none of its own. "
            f"Of the alerts created in this period are now: {shown or 'none'}."
        )

    def _elsewhere(self, processes: Iterable[DeliveringProcess]) -> tuple[str, ...]:
        return tuple(sorted(channels_of(processes).difference(self._configured)))

    async def channels_without_deliverer(self) -> tuple[UnservedChannel, ...]:
        """The channels that no live process has, and what is waiting for them."""
        return await channels_without_deliverer(self._repository, self._delivery_roles)
