"""The output for one notification: its facts, its message, its attempts and what happens next."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from certctl_mcp.cli.terminal.documents import Detail
from certctl_mcp.cli.terminal.notifications import status_of
from certctl_mcp.cli.terminal.output import identifier, key_value_table, multiline, one_line, table, when
from certctl_mcp.services.history import attempts_summary
from certctl_mcp.services.next_steps import moment
from certctl_mcp.text.untrusted import EXCERPT_LENGTH
from storage.models import Attempt


def notification_detail(detail: Detail, now: datetime, max_attempts: int) -> RenderableType:
    n = detail.notification
    parts: list[RenderableType] = [
        _facts(detail, now, max_attempts),
        "",
        _heading("Message"),
        _indented(multiline(n.message)),
    ]
    if n.last_error:
        parts += ["", _heading("Last error"), _indented(multiline(n.last_error))]
    if detail.attempts:
        parts += ["", _heading("Attempts"), _indented(_attempts(detail.attempts))]
    return Group(*parts, "", Text(detail.account))


def _facts(detail: Detail, now: datetime, max_attempts: int) -> Table:
    n = detail.notification
    facts = key_value_table()
    facts.add_row("ID", identifier(n.id))
    facts.add_row("Status", status_of(n))
    facts.add_row("Type", one_line(n.type))
    facts.add_row("Channel", one_line(n.channel))
    facts.add_row("Recipient", one_line(n.recipient))
    if n.certificate_id is not None:
        state = f", {detail.certificate}" if detail.certificate else ""
        facts.add_row("Certificate", Text.assemble(one_line(n.certificate_id), state))
    facts.add_row("Accepted", when(n.created_at, now))
    for name, then in (("Delivered", n.sent_at), ("Next attempt", n.next_attempt_at), ("Read", n.read_at)):
        if then is not None:
            facts.add_row(name, when(then, now))
    for name, other in (("In place of", n.origin_id), ("Replaced by", detail.replaced_by)):
        if other is not None:
            facts.add_row(name, identifier(other))
    if n.error is not None:
        facts.add_row("Why", one_line(n.error))
    if (attempts := attempts_summary(n, max_attempts)) is not None:
        facts.add_row("Attempts", Text(attempts))
    return facts


def _attempts(attempts: Sequence[Attempt]) -> Table:
    rows = table("#", "STARTED", "TOOK", "OUTCOME", "ERROR")
    for attempt in attempts:
        rows.add_row(
            Text(str(attempt.number)),
            Text(moment(attempt.started_at)),
            _took(attempt.duration),
            Text(attempt.outcome.value + (" (late, refused)" if attempt.late else "")),
            one_line(attempt.error, EXCERPT_LENGTH),
        )
    return rows


def _took(duration: timedelta | None) -> Text:
    return Text("-" if duration is None else f"{duration.total_seconds():.2f} s")


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)
