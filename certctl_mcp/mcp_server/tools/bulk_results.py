"""The results of bulk tools: what was or would be changed, and what to do next."""

from collections.abc import Set
from typing import Annotated, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.tools.elicitation import MOST_CHANNELS, accepted_when, going_nowhere
from certctl_mcp.mcp_server.tools.rows import UntrustedChannel, iso
from certctl_mcp.services.bulk import Interrupted, Preview
from certctl_mcp.text.untrusted import clean_name, encode_id
from storage.models import BulkReport, NotificationStatus


class ChannelShare(TypedDict):
    """How many of one channel."""

    count: int
    untrusted: UntrustedChannel


class LeftOut(TypedDict):
    """Matching, but not changed."""

    under_way: NotRequired[int]
    other_status: NotRequired[int]
    missing: NotRequired[int]


class Outcome(TypedDict):
    """What was or would be done."""

    changed: Annotated[int, Field(description="0 for a preview")]
    next: str
    would_change: NotRequired[int]
    # Three tools answer so: what explains itself in the answer is not paid for three times beforehand.
    by_status: NotRequired[Annotated[dict[NotificationStatus, int], WithJsonSchema({"type": "object"})]]
    by_channel: NotRequired[
        Annotated[list[ChannelShare], WithJsonSchema({"type": "array", "items": {"type": "object"}})]
    ]
    sample_ids: NotRequired[list[str]]
    left_out: NotRequired[Annotated[LeftOut, WithJsonSchema({"type": "object"})]]
    confirmation: NotRequired[str]


def account_of(earlier: Interrupted | None) -> str:
    """What became of an earlier call that could not be answered."""
    if earlier is None:
        return ""
    done = f"{earlier.report.changed} of {earlier.requested}"
    return f"The call before was cancelled at {iso(earlier.at)} when {done} were done. "


def previewed(preview: Preview, comes_next: str) -> Outcome:
    """Nothing was changed."""
    outcome: Outcome = {"changed": 0, "next": comes_next, "would_change": preview.count}
    if preview.count:
        outcome["by_status"] = dict(preview.by_status)
        outcome["by_channel"] = [
            {"count": count, "untrusted": {"channel": clean_name(channel)}}
            for channel, count in preview.by_channel.most_common(MOST_CHANNELS)
        ]
        outcome["sample_ids"] = [encode_id(sample) for sample in preview.sample_ids]
    if left_out := left_out_of(preview.left_out):
        outcome["left_out"] = left_out
    return outcome


def besides(preview: Preview, configured: Set[str]) -> str:
    """What the fields have no place for."""
    told = f"They were accepted {span}. " if (span := accepted_when(preview)) else ""
    if others := preview.by_channel.most_common()[MOST_CHANNELS:]:
        told += f"{sum(count for _, count in others)} are of {len(others)} channels that are not named here. "
    if nowhere := going_nowhere(preview, configured):
        told += f"{nowhere} are of channels that are not configured: requeued, they are not delivered. "
    return told


def left_out_of(report: BulkReport) -> LeftOut:
    """Why others were not changed; what is 0 is not there."""
    found: LeftOut = {}
    if report.under_way:
        found["under_way"] = report.under_way
    if report.other_status:
        found["other_status"] = report.other_status
    if report.missing:
        found["missing"] = report.missing
    return found
