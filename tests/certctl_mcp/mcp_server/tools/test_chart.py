"""The chart of a period shows everything that happened, however rarely."""

import io
import itertools
from datetime import timedelta

import pytest
from PIL import Image, ImageColor

from certctl_mcp.mcp_server.tools.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart
from certctl_mcp.services.periods import LONGEST_PERIOD, Period, Timeline
from storage.models import AttemptOutcome, DeliveryStep
from tests.builders import NOON

COLOURS = {
    AttemptOutcome.SENT: "#4cae8b",
    AttemptOutcome.SKIPPED: "#a9b1ba",
    AttemptOutcome.ABANDONED: "#7d5ba6",
    AttemptOutcome.FAILED: "#f2b134",
    AttemptOutcome.DEAD: "#b3123b",
}


def timeline(*outcomes: dict[AttemptOutcome, int], length: timedelta = timedelta(hours=24)) -> Timeline:
    period = Period(NOON - length, NOON)
    steps = -((period.beginning - period.until) // period.step)
    filled = [*outcomes, *[{}] * (steps - len(outcomes))]
    return Timeline(
        period,
        tuple(
            DeliveryStep(begins_at=period.beginning + number * period.step, outcomes=counts)
            for number, counts in enumerate(filled)
        ),
    )


def picture(of: Timeline) -> Image.Image:
    return Image.open(io.BytesIO(chart(of))).convert("RGB")


def bar(of: Timeline, number: int) -> list[AttemptOutcome]:
    """The outcomes shown by the pixels of a bar, from the bottom up."""
    image = picture(of)
    x = LEFT + round((RIGHT - LEFT) / len(of.steps) * (number + 0.5))
    found = [_shown(image.getpixel((x, y))) for y in range(BOTTOM - 1, TOP - 1, -1)]
    return [outcome for outcome in found if outcome is not None]


def _shown(pixel: object) -> AttemptOutcome | None:
    assert isinstance(pixel, tuple)
    for outcome, colour in COLOURS.items():
        if all(abs(one - other) <= 6 for one, other in zip(pixel, ImageColor.getrgb(colour), strict=True)):
            return outcome
    return None


def test_the_height_of_a_bar_is_proportional_to_its_count() -> None:
    of = timeline({AttemptOutcome.SENT: 50}, {AttemptOutcome.DEAD: 100}, {})
    assert len(bar(of, 0)) * 2 == len(bar(of, 1)) == BOTTOM - TOP
    assert bar(of, 2) == []


def test_outcomes_are_stacked_with_failures_on_top() -> None:
    of = timeline(dict.fromkeys(COLOURS, 10))
    assert [outcome for outcome, _ in itertools.groupby(bar(of, 0))] == list(COLOURS)


@pytest.mark.parametrize("seldom", [outcome for outcome in COLOURS if outcome != AttemptOutcome.SENT])
def test_one_outcome_among_a_million_is_visible(seldom: AttemptOutcome) -> None:
    assert bar(timeline({AttemptOutcome.SENT: 1_000_000, seldom: 1}), 0).count(seldom) == 2


def test_a_bar_of_rare_outcomes_only_is_visible() -> None:
    seldom = {AttemptOutcome.DEAD: 1, AttemptOutcome.FAILED: 1}
    assert set(bar(timeline({AttemptOutcome.SENT: 1_000_000}, seldom), 1)) == set(seldom)


@pytest.mark.parametrize("count", [1, 4, 9_999, 10_000, 999_499, 999_500, 7_999_999_999])
@pytest.mark.parametrize(
    "length", [timedelta(seconds=1), timedelta(seconds=90), timedelta(days=7), LONGEST_PERIOD]
)
def test_any_chart_is_a_small_file_with_clear_margins(count: int, length: timedelta) -> None:
    steps = len(timeline(length=length).steps)
    full = timeline(*[dict.fromkeys(COLOURS, count)] * steps, length=length)
    png = chart(full)
    assert len(png) < 20_000
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (WIDTH, HEIGHT)
    ground = image.getpixel((5, 5))
    for inset in (2, 8):
        assert {
            image.getpixel((x, y)) for x in (inset, WIDTH - 1 - inset) for y in range(inset, HEIGHT - inset)
        } == {ground}
