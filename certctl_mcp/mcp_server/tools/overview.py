"""The tools for an overview: the dashboard summary and the channels."""

from typing import TYPE_CHECKING, Annotated, NotRequired

from mcp_types import CallToolResult
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.tools.details import UntrustedError
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.mcp_server.tools.rows import Moment, UntrustedChannel, iso
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.dashboard import DashboardSummary
from certctl_mcp.text.untrusted import EXCERPT_LENGTH, clean_excerpt, clean_name, escape_hidden
from storage.models import AttemptOutcome, ChannelClosure, ChannelRecord, Closure

if TYPE_CHECKING:
    from certctl_mcp.services.channels import ChannelHealth


MAX_UNSERVED = 20


class LastDay(TypedDict):
    """The attempts of the last 24 hours."""

    outcomes: Annotated[dict[AttemptOutcome, int], Field(description="Attempts by outcome")]
    last_sent_at: NotRequired[Moment]
    last_failed_at: NotRequired[Moment]
    untrusted: NotRequired[UntrustedError]


class UntrustedClosure(TypedDict):
    """Text that people and receivers wrote."""

    reason: NotRequired[str]
    by: NotRequired[str]
    error: NotRequired[str]


class ClosedRow(TypedDict):
    """Why nothing is sent over a channel."""

    state: Closure
    until: Moment
    waiting: int
    since: NotRequired[Moment]
    hold_ends_at: NotRequired[Moment]
    untrusted: NotRequired[UntrustedClosure]


class ChannelRow(TypedDict):
    """A channel."""

    name: str
    destination: str
    processes: int
    closed: NotRequired[Annotated[ClosedRow, WithJsonSchema({"type": "object"})]]
    # Absent if nothing was attempted.
    last_day: NotRequired[Annotated[LastDay, WithJsonSchema({"type": "object"})]]


class UnservedRow(TypedDict):
    """A channel that has waiting notifications, but that no running process has."""

    waiting: int
    untrusted: UntrustedChannel


class Channels(TypedDict):
    """The channels, and this server's database."""

    channels: list[ChannelRow]
    # Self-explanatory in a result, so not worth its tokens in the schema.
    nobody_delivers: NotRequired[Annotated[list[UnservedRow], WithJsonSchema({"type": "array"})]]
    delivery: NotRequired[str]
    database: str


_FIELDS_OF = {
    "certificates": (
        "total_certificates",
        "expiring_certificates",
        "expired_certificates",
        "revoked_certificates",
    ),
    "agents": ("active_agents", "offline_agents", "total_agents"),
    "jobs": ("pending_jobs", "failed_jobs", "complete_jobs"),
    "notifications": (
        "notifications_dead",
        "notifications",
        "notifications_undelivered",
        "processes_alive",
        "waiting_unserved",
        "notifications_stuck",
        "channels_closed",
    ),
}
"""The counts of each part of the summary. A count that could not be read is not shown as zero."""


async def dashboard_summary(ctx: ToolContext) -> Annotated[CallToolResult, DashboardSummary]:
    """Current counts of certificates, agents, jobs and notifications: an overview.

    Counts that could not be read are missing; `unreadable` names them. For the notifications themselves use
    list_notifications.
    """
    return answer(await summary_now(ctx.request_context.lifespan_context))


async def summary_now(opening: Opening) -> dict[str, object]:
    """The fields of `DashboardSummary` as JSON."""
    summary = await (await opening.application()).stats.dashboard_summary()
    unread = {field for part in summary.unreadable for field in _FIELDS_OF[part]}
    return summary.model_dump(mode="json", exclude_none=True, exclude=unread)


async def list_channels(ctx: ToolContext) -> Annotated[CallToolResult, Channels]:
    """The channels: where each delivers to, why nothing is sent now if it is `closed`, and the results of its
    attempts in the last 24 hours.

    Nothing can be sent over any other channel.
    """
    return answer(await channels_now(ctx.request_context.lifespan_context))


async def channels_now(opening: Opening) -> Channels:
    application = await opening.application()
    found: Channels = {
        "channels": [_channel(channel) for channel in await application.notifications.channels.health()],
        "database": escape_hidden(application.location),
    }
    if delivery := await application.notifications.channels.delivery():
        found["delivery"] = delivery
    if unserved := await application.notifications.channels.channels_without_deliverer():
        found["nobody_delivers"] = [
            {"waiting": one.waiting, "untrusted": {"channel": clean_name(one.channel)}}
            for one in unserved[:MAX_UNSERVED]
        ]
    return found


def _channel(health: "ChannelHealth") -> ChannelRow:
    channel: ChannelRow = {
        "name": escape_hidden(health.name),
        "destination": escape_hidden(health.destination),
        "processes": health.processes,
    }
    if health.closed is not None:
        channel["closed"] = _closed(health.closed)
    if health.record is not None:
        channel["last_day"] = _last_day(health.record)
    return channel


def _closed(closure: ChannelClosure) -> ClosedRow:
    row: ClosedRow = {
        "state": closure.state,
        "until": iso(closure.until),
        "waiting": closure.waiting,
    }
    if closure.since is not None:
        row["since"] = iso(closure.since)
    if closure.ends_at is not None:
        row["hold_ends_at"] = iso(closure.ends_at)
    untrusted: UntrustedClosure = {}
    if closure.reason is not None:
        untrusted["reason"] = clean_excerpt(closure.reason, EXCERPT_LENGTH).text
    if closure.by is not None:
        untrusted["by"] = clean_name(closure.by)
    if closure.error is not None:
        untrusted["error"] = clean_excerpt(closure.error, EXCERPT_LENGTH).text
    if untrusted:
        row["untrusted"] = untrusted
    return row


def _last_day(record: ChannelRecord) -> LastDay:
    day: LastDay = {"outcomes": record.outcomes}
    if record.last_sent_at is not None:
        day["last_sent_at"] = iso(record.last_sent_at)
    if record.last_failed_at is not None:
        day["last_failed_at"] = iso(record.last_failed_at)
    if record.last_error is not None:
        day["untrusted"] = {"error": clean_excerpt(record.last_error, EXCERPT_LENGTH).text}
    return day
