"""The chart as text: one line for each step, and even rare outcomes are visible."""

from certctl_mcp.mcp_server.tools.text_chart import WIDTH, text_chart
from storage.models import AttemptOutcome
from tests.certctl_mcp.mcp_server.tools.test_chart import timeline


def test_bars_are_proportional_and_rare_outcomes_are_visible() -> None:
    of = timeline({AttemptOutcome.SENT: 10_000, AttemptOutcome.DEAD: 1}, {AttemptOutcome.SENT: 5_000})
    heading, first, second, *rest = text_chart(of).splitlines()
    assert heading.endswith("# delivered, D dead")
    assert first.endswith(f" {'#' * WIDTH}D 10,001")
    assert second.endswith(f" {'#' * (WIDTH // 2)} 5,000")
    assert len(rest) == len(of.steps) - 2
    assert all(line.endswith(" 0") for line in rest)


def test_an_empty_period_can_be_drawn() -> None:
    assert text_chart(timeline()).splitlines()[0].endswith("none")
