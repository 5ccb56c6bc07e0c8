"""The delivery chart as plain text, for hosts and models that show no images."""

from certctl_mcp.config.durations import format_duration
from certctl_mcp.services.periods import Timeline
from storage.models import AttemptOutcome

WIDTH = 40
"""The length of the longest bar in characters."""

_MARKS = (
    (AttemptOutcome.SENT, "#", "delivered"),
    (AttemptOutcome.SKIPPED, "s", "skipped"),
    (AttemptOutcome.ABANDONED, "a", "abandoned"),
    (AttemptOutcome.TOLD_TO_WAIT, "w", "told to wait"),
    (AttemptOutcome.FAILED, "f", "failed, to retry"),
    (AttemptOutcome.DEAD, "D", "dead"),
)


def text_chart(timeline: Timeline) -> str:
    """One line for each step, with a bar by outcome and the number of attempts. Times are UTC."""
    highest = max((sum(step.outcomes.values()) for step in timeline.steps), default=0)
    found = {outcome for step in timeline.steps for outcome, count in step.outcomes.items() if count}
    legend = ", ".join(f"{mark} {name}" for outcome, mark, name in _MARKS if outcome in found)
    lines = [f"Attempts per {format_duration(timeline.period.step)} by start, UTC: {legend or 'none'}"]
    for step in timeline.steps:
        total = sum(step.outcomes.values())
        bar = "".join(mark * _length(step.outcomes.get(outcome, 0), highest) for outcome, mark, _ in _MARKS)
        lines.append(f"{step.begins_at:%Y-%m-%d %H:%M:%S} {bar} {total:,}".replace("  ", " "))
    return "\n".join(lines)


def _length(count: int, highest: int) -> int:
    """Proportional, but at least one, so that one dead letter among ten thousand deliveries is visible."""
    return max(1, round(count * WIDTH / highest)) if count else 0
