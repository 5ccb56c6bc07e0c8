"""How the notifications of a database are delivered: by this program, by certctl's server, or by both."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.config.durations import format_duration
from storage.models import DeliveringProcess

CERTCTL_CHANNELS = frozenset({"Email", "Webhook", "Slack", "Teams", "PagerDuty", "OpsGenie"})
"""The channels that certctl's server can have a notifier for."""


class Deliverer(Enum):
    """Which program delivers over a channel."""

    PROCESS = auto()
    """A running process of this program."""
    RESCUE = auto()
    """certctl's server, on its own database; a running process of this program attempts what it leaves."""
    CERTCTL = auto()
    """certctl's server alone: nothing attempts what it leaves."""
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class DeliveryRoles:
    """How deliveries work, as this process sees it."""

    mode: DeliveryMode = DeliveryMode.DELIVER
    beside_certctl: bool = False
    """certctl's server uses the same database."""
    grace: timedelta = timedelta(minutes=5)
    """Notifications that certctl has not sent for this long are stuck, or taken over."""

    @property
    def certctl_delivers(self) -> bool:
        return self.beside_certctl and self.mode is not DeliveryMode.DELIVER

    @property
    def rescue_after(self) -> timedelta | None:
        return self.grace if self.mode is DeliveryMode.RESCUE else None

    def deliverer(self, channel: str, processes: Iterable[DeliveringProcess]) -> Deliverer:
        """Which program delivers over the channel, if these processes are alive."""
        having = [process for process in processes if channel in process.channels]
        if any(not process.rescues for process in having):
            return Deliverer.PROCESS
        if having:
            return Deliverer.RESCUE
        return Deliverer.CERTCTL if self.certctl_delivers else Deliverer.NOBODY

    def described(self, processes: Iterable[DeliveringProcess], *, settled_by_certctl: int = 0) -> str | None:
        """Which programs deliver on certctl's database, in a sentence or two; None on other databases.

        `settled_by_certctl`: how many notifications certctl's server has settled lately, although it must
        not.
        """
        if not self.beside_certctl:
            return None
        if self.mode is DeliveryMode.DELIVER:
            text = "deliver: certctl-mcp delivers everything, and certctl's server must not run"
            if not settled_by_certctl:
                return f"{text}."
            return (
                f"{text}. But it does: it has settled {settled_by_certctl} itself, so alerts are sent twice. "
                "Stop it, or set CERTCTL_NOTIFICATION_DELIVER=rescue."
            )
        rescued = any(process.rescues for process in processes)
        if self.mode is DeliveryMode.WATCH and not rescued:
            return (
                "watch: certctl's server delivers. What it leaves undelivered is stuck and only counted; "
                "CERTCTL_NOTIFICATION_DELIVER=rescue has certctl-mcp deliver it."
            )
        text = (
            f"{self.mode}: certctl's server delivers. certctl-mcp takes over what it leaves undelivered for "
            f"{format_duration(self.grace)}, with its own retries and dead letters"
        )
        return f"{text}." if rescued else f"{text}; but no process that does so is running."


OWN_DATABASE_ROLES = DeliveryRoles()
"""The roles on a database that only this program uses."""
