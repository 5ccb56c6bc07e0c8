"""The results of the bulk tools: what was done or would be done, and what to do next."""

from collections.abc import Set
from typing import Annotated, NotRequired

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.tools.elicitation import MAX_CHANNELS, acceptance_span
from certctl_mcp.mcp_server.tools.rows import UntrustedChannel, iso
from certctl_mcp.services.bulk import Interrupted, Preview
from certctl_mcp.text.untrusted import clean_name, encode_id
from storage.models import BulkReport, NotificationFilter, NotificationStatus


class ChannelShare(TypedDict):
    """The number of notifications of one channel."""

    count: int
    untrusted: UntrustedChannel


class LeftOut(TypedDict):
    """Notifications that match, but would not change."""

    under_way: NotRequired[int]
    other_status: NotRequired[int]
    missing: NotRequired[int]


class Outcome(TypedDict):
    """What was done, or would be done."""

    changed: Annotated[int, Field(description="0 for a preview")]
    next: str
    would_change: NotRequired[int]
    # Three tools return this. Self-explanatory fields are not worth their tokens in three schemas.
    by_status: NotRequired[SkipJsonSchema[dict[NotificationStatus, int]]]
    by_channel: NotRequired[SkipJsonSchema[list[ChannelShare]]]
    sample_ids: NotRequired[SkipJsonSchema[list[str]]]
    left_out: NotRequired[SkipJsonSchema[LeftOut]]
    selection: NotRequired[SkipJsonSchema[dict[str, object]]]
    confirmation: NotRequired[str]


def interruption_notice(earlier: Interrupted | None) -> str:
    """What an earlier call did before it was cancelled."""
    if earlier is None:
        return ""
    done = f"{earlier.report.changed} of {earlier.requested}"
    return f"The previous call was cancelled at {iso(earlier.at)} when {done} were done. "


def preview_result(preview: Preview, next_step: str) -> Outcome:
    """The result of a call that changed nothing."""
    outcome: Outcome = {"changed": 0, "next": next_step, "would_change": preview.count}
    if preview.count:
        outcome["by_status"] = dict(preview.by_status)
        outcome["by_channel"] = [
            {"count": count, "untrusted": {"channel": clean_name(channel)}}
            for channel, count in preview.by_channel.most_common(MAX_CHANNELS)
        ]
        outcome["sample_ids"] = [encode_id(sample) for sample in preview.sample_ids]
        outcome["selection"] = selection_of(preview.wanted)
    if left_out := left_out_of(preview.left_out):
        outcome["left_out"] = left_out
    return outcome


def selection_of(wanted: NotificationFilter) -> dict[str, object]:
    """The filter as it was understood, so that a lost or misread condition is noticed."""
    selection: dict[str, object] = {}
    if wanted.statuses:
        selection["status"] = [status.value for status in wanted.statuses]
    if wanted.ids:
        selection["ids"] = len(wanted.ids)
    texts = {
        "channel": wanted.channel,
        "type": wanted.type,
        "certificate_id": wanted.certificate_id,
        "recipient": wanted.recipient,
        "text": wanted.text,
    }
    if given := {name: clean_name(text) for name, text in texts.items() if text is not None}:
        selection["untrusted"] = given
    if wanted.created_from is not None:
        selection["accepted_from"] = iso(wanted.created_from)
    if wanted.urgency is not None:
        selection["urgency"] = wanted.urgency.value
    if wanted.created_until is not None:
        selection["accepted_before"] = iso(wanted.created_until)
    return selection


def remarks(preview: Preview, configured: Set[str], closed: Set[str]) -> str:
    """Remarks on what the fields of a preview don't say."""
    text = f"They were accepted {span}. " if (span := acceptance_span(preview)) else ""
    if others := preview.by_channel.most_common()[MAX_CHANNELS:]:
        text += f"{sum(count for _, count in others)} are on {len(others)} channels not listed here. "
    if undeliverable := preview.undeliverable(configured):
        text += f"{undeliverable} are on channels that are not configured: requeued, they are not delivered. "
    if delayed := preview.delayed(closed):
        text += f"{delayed} are on channels over which nothing is sent now; requeued, they wait. "
    return text


def left_out_of(report: BulkReport) -> LeftOut:
    """The numbers of notifications that were not changed, by reason; without zeros."""
    found: LeftOut = {}
    if report.under_way:
        found["under_way"] = report.under_way
    if report.other_status:
        found["other_status"] = report.other_status
    if report.missing:
        found["missing"] = report.missing
    return found
