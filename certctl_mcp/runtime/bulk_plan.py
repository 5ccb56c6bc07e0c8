"""The plan of a bulk action: its preview, and whether the caller's confirmation is valid for exactly that.

All front ends in which callers confirm with a second call use this, so that none of them can bypass another.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from certctl_mcp.runtime.confirmations import (
    Confirmation,
    ConfirmationError,
    Purpose,
    moment_of_preview,
    read_token,
)
from certctl_mcp.runtime.lifespan import Opening
from certctl_mcp.services.bulk import Preview
from certctl_mcp.services.bulk_rules import bulk_filter
from certctl_mcp.services.filters import SelectionArguments
from storage.models import AuditAction


@dataclass(frozen=True, slots=True)
class Plan:
    """The subject of a call."""

    preview: Preview
    moment: datetime
    confirmation: Confirmation | None = None
    """The caller's confirmation, if it is valid for exactly this plan."""
    replaces_question: bool = False
    """The confirmation was issued because the user could not be asked, so the user isn't asked now either."""
    problem: str | None = None
    """Why the caller's confirmation is not valid."""


async def bulk_plan(
    opening: Opening, action: AuditAction, given: SelectionArguments, token: str | None, *, caller: str
) -> Plan:
    """The plan of `action` on what `given` selects. `token` is the caller's confirmation, if there is one.

    Raises:
        FilterError: the filter can't be used, or the action doesn't apply to what it selects.
        AmbiguousIdError: an id abbreviates several.
        StorageError: the database can't be used.
    """
    now = opening.clock()
    service = (await opening.application()).notifications
    given = replace(given, ids=await service.ids.complete_all(given.ids))

    async def previewed_at(moment: datetime) -> Preview:
        return await service.bulk.preview(action, bulk_filter(action, given.filter(moment), moment))

    problem: str | None = None
    if token is not None:
        try:
            confirmation = read_token(token, now)
            preview = await previewed_at(confirmation.moment)
            purpose = opening.confirmations.verify(confirmation, _subject(preview), caller=caller)
        except ConfirmationError as refused:
            problem = f"{refused}."
        else:
            if preview.count == confirmation.count:
                unreachable = purpose is Purpose.REPLACES_QUESTION
                return Plan(preview, confirmation.moment, confirmation, replaces_question=unreachable)
            problem = f"{preview.count} would change now, not the {confirmation.count} of the preview."
    moment = moment_of_preview(now)
    return Plan(await previewed_at(moment), moment, problem=problem)


def confirmation_of(opening: Opening, plan: Plan, *, caller: str, purpose: Purpose = Purpose.PREVIEW) -> str:
    """A token with which `caller` confirms `plan`."""
    preview = plan.preview
    return opening.confirmations.token(
        _subject(preview), preview.count, plan.moment, caller=caller, purpose=purpose
    )


def _subject(preview: Preview) -> str:
    return f"{preview.action.value} {preview.wanted.model_dump_json()}"
