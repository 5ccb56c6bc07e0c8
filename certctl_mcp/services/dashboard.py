"""The dashboard summary at one moment: certctl's fields, and those of the queue."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from certctl_mcp.services.limitations import LIMITATION_TEXTS, Limitation
from storage.models import NotificationStatus

_LIMITATIONS = {text: limitation for limitation, text in LIMITATION_TEXTS.items()}

_LimitationInWords = Annotated[
    Limitation,
    BeforeValidator(lambda value: _LIMITATIONS.get(value, value)),
    PlainSerializer(LIMITATION_TEXTS.__getitem__, return_type=str),
    WithJsonSchema({"type": "string"}),
]
"""Programs read a sentence; the code knows the reason."""


class DashboardSummary(BaseModel):
    """Best effort: a count that can't be read is zero and listed in `unreadable`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    total_certificates: int = 0
    expiring_certificates: int = 0
    """Within 30 days."""
    expired_certificates: int = 0
    revoked_certificates: int = 0
    active_agents: int = 0
    """Last heartbeat within 5 minutes."""
    offline_agents: int = 0
    total_agents: int = 0
    pending_jobs: int = 0
    failed_jobs: int = 0
    complete_jobs: int = 0
    notifications_dead: int = 0
    notifications: Mapping[NotificationStatus, int] = Field(default_factory=dict)
    notifications_undelivered: int = 0
    """Have the status sent, although nothing was delivered because there was no notifier."""
    # Running processes that deliver, and notifications for a channel that none of them has.
    processes_alive: int = 0
    waiting_unserved: int = 0
    notifications_stuck: int = 0
    """Left undelivered by certctl's server; nothing attempts them again."""
    delivery: str | None = None
    """On certctl's database: which programs deliver."""
    channels_closed: int = 0
    """Paused, held in an outage or told to wait."""
    oldest_dead_at: AwareDatetime | None = None
    next_retry_at: AwareDatetime | None = None
    unreadable: tuple[str, ...] = ()
    off: tuple[_LimitationInWords, ...] = ()
    """What this server can't do, and why."""
    completed_at: AwareDatetime

    @property
    def active_certificates(self) -> int:
        """Certificates that are not about to expire, expired or revoked."""
        return (
            self.total_certificates
            - self.expiring_certificates
            - self.expired_certificates
            - self.revoked_certificates
        )
