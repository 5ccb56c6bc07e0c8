"""The chart as text: every step has its line, and whatever happened at all can be seen."""

from certctl_mcp.mcp_server.tools.text_chart import WIDTH, text_chart
from storage.models import AttemptOutcome
from tests.certctl_mcp.mcp_server.tools.test_chart import timeline


def test_bars_are_in_proportion_and_the_seldom_is_seen() -> None:
    of = timeline({AttemptOutcome.SENT: 10_000, AttemptOutcome.DEAD: 1}, {AttemptOutcome.SENT: 5_000})
    heading, first, second, *rest = text_chart(of).splitlines()
    assert heading.endswith("# delivered, D dead")
    assert first.endswith(f" {'#' * WIDTH}D 10,001")
    assert second.endswith(f" {'#' * (WIDTH // 2)} 5,000")
    assert len(rest) == len(of.steps) - 2
    assert all(line.endswith(" 0") for line in rest)


def test_nothing_at_all_is_drawn_too() -> None:
    assert text_chart(timeline()).splitlines()[0].endswith("none")
