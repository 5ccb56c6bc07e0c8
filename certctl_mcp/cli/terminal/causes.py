"""The output of a diagnosis: a paragraph for each cause."""

import shlex
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.text import Text

from certctl_mcp.cli.terminal.output import distance, identifier, one_line
from certctl_mcp.services.diagnosis.diagnosing import Diagnosis
from certctl_mcp.text.untrusted import EXCERPT_LENGTH


class Cause(BaseModel):
    """Failures of one channel and one kind, over one stretch of time."""

    model_config = ConfigDict(frozen=True)

    channel: str
    kind: str
    dead: int
    failing: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    cause: str
    action: str
    requeue: bool
    """Whether requeueing is part of the remedy."""
    sample_id: str
    sample_error: str | None


class DiagnosisDocument(BaseModel):
    """What failed and why. The causes may be only the largest ones."""

    model_config = ConfigDict(frozen=True)

    dead: int
    failing: int
    urgency: str | None = None
    """Which of the dead letters still matter, by their certificates."""
    causes: tuple[Cause, ...]


def diagnosis_document(diagnosis: Diagnosis) -> DiagnosisDocument:
    causes = tuple(
        Cause(
            channel=finding.span.channel,
            kind=finding.span.kind.value,
            dead=finding.span.dead,
            failing=finding.span.failing,
            first_at=finding.span.first_at,
            last_at=finding.span.last_at,
            cause=finding.advice.cause,
            action=finding.advice.action.replace("get_notification", "certctl-mcp show"),
            requeue=finding.advice.requeue,
            sample_id=finding.span.sample_id,
            sample_error=finding.span.error,
        )
        for finding in diagnosis.findings
    )
    return DiagnosisDocument(
        dead=diagnosis.dead, failing=diagnosis.failing, urgency=diagnosis.urgency, causes=causes
    )


def cause_list(diagnosis: DiagnosisDocument, now: datetime) -> RenderableType:
    counts = f"{diagnosis.dead} dead, {diagnosis.failing} still being retried"
    parts: list[RenderableType] = [Text(counts, style="bold")]
    if diagnosis.urgency is not None:
        parts.append(Text(diagnosis.urgency))
    for cause in diagnosis.causes:
        parts += ["", *_paragraph(cause, now)]
    shown = sum(cause.dead for cause in diagnosis.causes), sum(cause.failing for cause in diagnosis.causes)
    if shown != (diagnosis.dead, diagnosis.failing):
        dead, failing = diagnosis.dead - shown[0], diagnosis.failing - shown[1]
        parts += ["", Text(f"{dead} dead and {failing} still being retried have other causes")]
    return Group(*parts)


def _paragraph(cause: Cause, now: datetime) -> list[Text]:
    counts = [f"{cause.dead} dead"] if cause.dead else []
    counts += [f"{cause.failing} still being retried"] if cause.failing else []
    heading = one_line(cause.channel, EXCERPT_LENGTH) + Text(f": {cause.cause} ({', '.join(counts)})")
    heading.stylize("bold")
    lines = [
        heading,
        Text(f"  first {distance(cause.first_at, now)}, last {distance(cause.last_at, now)}"),
        Text("  to do: ") + Text(cause.action),
    ]
    if cause.requeue and cause.channel.isprintable() and cause.channel.isascii():
        lines.append(Text(f"  then: certctl-mcp requeue --channel {shlex.quote(cause.channel)}"))
    sample = Text("  sample: ") + identifier(cause.sample_id)
    if cause.sample_error:
        sample += Text(" ") + one_line(cause.sample_error, EXCERPT_LENGTH)
    return [*lines, sample]
