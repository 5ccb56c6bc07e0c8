"""What the dashboard says of everything at one moment: certctl's fields, and the queue's beside them."""

from collections.abc import Mapping

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from storage.models import NotificationStatus


class DashboardSummary(BaseModel):
    """Best effort: a count that can't be read is zero and named in `unreadable`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

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
    off: tuple[str, ...] = ()
    """What this server can't do, and why."""
    completed_at: AwareDatetime
