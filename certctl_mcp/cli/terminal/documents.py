"""The models of the JSON documents that commands print for programs."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certctl_mcp.services.channels import ChannelHealth
from certctl_mcp.services.dashboard import DashboardSummary
from storage.models import Attempt, Notification, NotificationStatus, UnservedChannel


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Listing(_Document):
    """A list, in the shape of the HTTP interface. `next_cursor` is None at the end."""

    database: str

    data: tuple[Notification, ...]
    next_cursor: str | None


class Detail(_Document):
    """One notification. `account` describes the rest in words."""

    notification: Notification
    attempts: tuple[Attempt, ...]
    account: str
    replaced_by: str | None = None
    """The notification that was accepted in its place, over its channel's fallback."""
    certificate: str | None = None
    """The state of its certificate in a few words, if it still matters and is known."""


class Summary(DashboardSummary):
    """The dashboard summary, and the database it describes."""

    database: str


class Channels(_Document):
    """The configured channels, in order."""

    data: tuple[ChannelHealth, ...]
    nobody_delivers: tuple[UnservedChannel, ...] = ()
    """Channels that no running process has, although notifications are waiting for them."""
    delivery: str | None = None
    """What delivers on certctl's database."""


class ChannelPaused(_Document):
    """A channel that is paused."""

    paused_until: AwareDatetime


class ChannelResumed(_Document):
    """A channel that is not paused."""

    was_paused: bool


class Migration(_Document):
    """What a migration changed, or would change. A revision is None if it isn't one of ours."""

    database: str
    revision_before: str | None
    revision: str | None
    added: tuple[str, ...]
    missing: tuple[str, ...]
    """What a dry run found."""


class Refusal(_Document):
    """A notification that was not changed, and why."""

    id: str
    reason: str


class Changes(_Document):
    """What was done to several notifications; each is counted once."""

    changed: int = 0
    refused: tuple[Refusal, ...] = ()
    """Refusals of notifications given by their ids."""
    skipped: int = 0
    """How many were selected by a filter, but are being attempted now or have changed since they were
    counted."""
    untouched: int = 0
    """How many were not reached, because the operator interrupted or the database failed."""
    unknown: int = 0
    """The database failed while they were being changed."""
    failure: str | None = None
    """Why the database failed."""

    def plus(self, more: "Changes", refused: tuple[Refusal, ...]) -> "Changes":
        """The sum of this and another batch of ids, of which some are `refused`."""
        return Changes(
            changed=self.changed + more.changed,
            refused=self.refused + refused,
            untouched=self.untouched + more.untouched,
            unknown=self.unknown + more.unknown,
            failure=more.failure,
        )


class BulkPreview(_Document):
    """What a bulk action would change, and what it would leave alone."""

    would_change: int
    by_status: dict[NotificationStatus, int]
    by_channel: dict[str, int]
    sample_ids: tuple[str, ...]
    under_way: int
    other_status: int
    remembered: int = 0
    """How many are kept because certctl remembers its alerts by them."""


class Backup(_Document):
    """A backup that was made."""

    database: str
    file: str
    notifications: int
    bytes: int


class Copy(_Document):
    """The result of a copy. `differing` names the rows that differ."""

    source: str
    target: str
    notifications: int
    attempts: int
    audit_entries: int
    passed_over: int
    updated: int
    checksum: str
    differing: tuple[str, ...]
