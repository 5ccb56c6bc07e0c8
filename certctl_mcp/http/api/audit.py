"""The REST API for the audit log: who did what to which notification or channel."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from certctl_mcp.http.api.dependencies import Opened, may_read
from certctl_mcp.http.api.documents import IfNoneMatch, Name, ResponseDocument, redacted, redacted_or_none
from certctl_mcp.http.api.parameters import Empty
from certctl_mcp.http.conditional import json_response
from storage.models import AuditAction, AuditRecord

ENTRIES = 50
MAX_ENTRIES = 10_000

router = APIRouter(prefix="/api/v1")


class AuditQuery(BaseModel):
    """The entries to return. As in certctl, other parameters are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    notification_id: Name | Empty = ""
    """Only the entries of this notification, which may have been deleted."""
    limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = ENTRIES


class AuditLogEntry(ResponseDocument):
    """Who did what, and when."""

    at: datetime
    actor: str
    """`http:` and a key name or `oauth:` client, `cli:` and a user, or `stdio:` and a client."""
    action: AuditAction
    notification_id: str | None = None
    """The notification; absent if the entry is about something else."""
    detail: str | None = None
    """For a channel: its name, the end of the pause, and the reason. For retention: how much was deleted."""


class AuditLog(ResponseDocument):
    """The newest entries, newest first."""

    data: tuple[AuditLogEntry, ...]


@router.get("/audit", response_model=AuditLog, dependencies=[may_read])
async def get_audit_log(
    query: Annotated[AuditQuery, Query()], opened: Opened, if_none_match: IfNoneMatch = None
) -> Response:
    """Get the audit log: who sent, requeued, settled, deleted, tested or paused what. Deleted notifications
    are included; an id that there never was is not found."""
    entries = await opened.notifications.audit_log(query.notification_id or None, limit=query.limit)
    return json_response(AuditLog(data=tuple(map(_entry, entries))), if_none_match=if_none_match)


def _entry(record: AuditRecord) -> AuditLogEntry:
    return AuditLogEntry(
        at=record.at,
        actor=redacted(record.actor),
        action=record.action,
        notification_id=record.notification_id or None,
        detail=redacted_or_none(record.detail),
    )
