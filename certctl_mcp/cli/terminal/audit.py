"""The output of the audit log."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from rich.text import Text

from certctl_mcp.cli.terminal.columns import columns
from certctl_mcp.cli.terminal.output import identifier, one_line
from certctl_mcp.services.next_steps import moment
from storage.models import AuditRecord


class AuditLog(BaseModel):
    """The newest entries, newest first."""

    model_config = ConfigDict(frozen=True)

    data: tuple[AuditRecord, ...]


def audit_rows(entries: Sequence[AuditRecord]) -> list[Text]:
    return columns(
        ("WHEN", "WHO", "WHAT", "ID"),
        [
            [
                Text(moment(entry.at)),
                one_line(entry.actor),
                Text(entry.action.value),
                identifier(entry.notification_id) if entry.notification_id else one_line(entry.detail, 120),
            ]
            for entry in entries
        ],
    )
