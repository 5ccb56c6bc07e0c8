"""The output of a diagnosis: a paragraph for each cause."""

import shlex
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.text import Text

from certctl_mcp.cli.terminal.output import distance, identifier, one_line
from certctl_mcp.services.diagnosis.diagnosis import Diagnosis
from certctl_mcp.text.untrusted import EXCERPT_LENGTH
from storage.models import NotificationFilter, NotificationStatus


class Cause(BaseModel):
    """Failures of one channel and one kind in a period without long gaps."""

    model_config = ConfigDict(frozen=True)

    channel: str
    kind: str
    dead: int
    failing: int
    undelivered: int
    """Count as sent, although nothing was delivered."""
    first_at: AwareDatetime
    last_at: AwareDatetime
    cause: str
    action: str
    requeue: bool
    """Whether requeueing is part of the remedy."""
    requeue_command: str | None
    """The command for that; None also if it can't be typed."""
    requeues: int
    """How many it requeues, which is more than these if options can't separate them from others."""
    sample_id: str
    sample_error: str | None


class DiagnosisDocument(BaseModel):
    """What failed and why. The causes may be only the largest ones."""

    model_config = ConfigDict(frozen=True)

    dead: int
    failing: int
    urgency: str | None = None
    """How many of the dead letters still matter, judging by their certificates."""
    causes: tuple[Cause, ...]


def diagnosis_document(diagnosis: Diagnosis) -> DiagnosisDocument:
    causes = tuple(
        Cause(
            channel=finding.span.channel,
            kind=finding.span.kind.value,
            dead=finding.span.dead,
            failing=finding.span.failing,
            undelivered=finding.span.undelivered,
            first_at=finding.span.first_at,
            last_at=finding.span.last_at,
            cause=finding.advice.cause,
            action=finding.advice.action.replace("get_notification", "certctl-mcp show"),
            requeue=finding.advice.requeue,
            requeue_command=None if finding.requeue is None else requeue_command(finding.requeue.wanted),
            requeues=0 if finding.requeue is None else finding.requeue.count,
            sample_id=finding.span.sample_id,
            sample_error=finding.span.error,
        )
        for finding in diagnosis.findings
    )
    return DiagnosisDocument(
        dead=diagnosis.dead, failing=diagnosis.failing, urgency=diagnosis.urgency, causes=causes
    )


def requeue_command(wanted: NotificationFilter) -> str | None:
    """The command that requeues what matches; None if a name in it can't be typed."""
    options: dict[str, str | None] = {
        "--channel": wanted.channel,
        "--type": wanted.type,
        "--certificate": wanted.certificate_id,
        "--recipient": wanted.recipient,
        "--urgency": wanted.urgency,
        "--text": wanted.text,
        "--since": None if wanted.created_from is None else _typed(wanted.created_from),
        "--until": None if wanted.created_until is None else _typed(wanted.created_until),
    }
    if wanted.statuses != (NotificationStatus.DEAD,):
        options["--status"] = ",".join(wanted.statuses)
    given = {option: value for option, value in options.items() if value is not None}
    if not all(value.isascii() and value.isprintable() for value in given.values()):
        return None
    return " ".join(
        ["certctl-mcp requeue", *(f"{option} {shlex.quote(value)}" for option, value in given.items())]
    )


def _typed(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def cause_list(diagnosis: DiagnosisDocument, now: datetime) -> RenderableType:
    counts = f"{diagnosis.dead} dead, {diagnosis.failing} failed"
    parts: list[RenderableType] = [Text(counts, style="bold")]
    if diagnosis.urgency is not None:
        parts.append(Text(diagnosis.urgency))
    for cause in diagnosis.causes:
        parts += ["", *_paragraph(cause, now)]
    shown = sum(cause.dead for cause in diagnosis.causes), sum(cause.failing for cause in diagnosis.causes)
    if shown != (diagnosis.dead, diagnosis.failing):
        dead, failing = diagnosis.dead - shown[0], diagnosis.failing - shown[1]
        parts += ["", Text(f"{dead} dead and {failing} failed have other causes")]
    return Group(*parts)


def _paragraph(cause: Cause, now: datetime) -> list[Text]:
    counts = [f"{cause.dead} dead"] if cause.dead else []
    counts += [f"{cause.failing} failed"] if cause.failing else []
    counts += [f"{cause.undelivered} sent without being delivered"] if cause.undelivered else []
    heading = one_line(cause.channel, EXCERPT_LENGTH) + Text(f": {cause.cause} ({', '.join(counts)})")
    heading.stylize("bold")
    lines = [
        heading,
        Text(f"  first {distance(cause.first_at, now)}, last {distance(cause.last_at, now)}"),
        Text("  to do: ") + Text(cause.action),
    ]
    if cause.requeue_command is not None:
        lines.append(Text(f"  then: {cause.requeue_command}"))
        if others := cause.requeues - (cause.dead + cause.undelivered or cause.failing):
            lines.append(
                Text(f"        (this requeues {cause.requeues}, of which {others} have other causes)")
            )
    sample = Text("  sample: ") + identifier(cause.sample_id)
    if cause.sample_error:
        sample += Text(" ") + one_line(cause.sample_error, EXCERPT_LENGTH)
    return [*lines, sample]
