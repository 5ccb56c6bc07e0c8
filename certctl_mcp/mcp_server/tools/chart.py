"""The delivery chart: a small PNG of the attempts of a period over time, without any text from outside.

It has its own background, so that it is readable on light and dark pages.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from certctl_mcp.config.durations import format_duration
from certctl_mcp.services.periods import Timeline
from storage.models import AttemptOutcome

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, WIDTH - 20, 92, HEIGHT - 66
"""The edges of the area for the bars."""
_LEAST = 2
"""The minimum height of a part in pixels: one dead letter among ten thousand deliveries must be visible."""
_FEWEST_BETWEEN_LABELS = 62
"""Pixels."""

_GROUND, _EDGE, _GRID, _TEXT, _FAINT = "#ffffff", "#b8bec6", "#e4e7eb", "#1f2328", "#59636e"

# From the bottom up. The colours differ in brightness too, for colour-blind readers.
_OUTCOMES = (
    (AttemptOutcome.SENT, "delivered", "#4cae8b"),
    (AttemptOutcome.SKIPPED, "skipped", "#a9b1ba"),
    (AttemptOutcome.ABANDONED, "abandoned", "#7d5ba6"),
    (AttemptOutcome.TOLD_TO_WAIT, "told to wait", "#5b8db8"),
    (AttemptOutcome.FAILED, "failed, to retry", "#f2b134"),
    (AttemptOutcome.DEAD, "dead", "#b3123b"),
)


def chart(timeline: Timeline) -> bytes:
    """A PNG of the attempts in each step, stacked by outcome."""
    # Charts are rare, and the drawing library would double the imports at the start.
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=_EDGE)
    totals = sum((Counter(step.outcomes) for step in timeline.steps), Counter[AttemptOutcome]())
    highest = max(sum(step.outcomes.values()) for step in timeline.steps)
    top = _draw_scale(draw, highest)
    _draw_heading(draw, timeline, totals)
    _draw_bars(draw, timeline, top)
    _draw_times(draw, timeline)
    png = io.BytesIO()
    image.quantize(colors=64, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    return png.getvalue()


def _font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_heading(draw: "ImageDraw", timeline: Timeline, totals: Counter[AttemptOutcome]) -> None:
    period = timeline.period
    title = f"Delivery attempts, each bar {format_duration(period.step)}"
    draw.text((20, 14), title, _TEXT, _font(18))
    span = " to ".join(f"{moment:%Y-%m-%d %H:%M}" for moment in (period.since, period.until))
    draw.text((RIGHT, 18), span, _FAINT, _font(13), anchor="ra")
    x = 20.0
    for outcome, name, colour in _OUTCOMES:
        if totals[outcome]:
            draw.rectangle((x, 48, x + 11, 59), colour)
            label = f"{_short(totals[outcome])} {name}"
            draw.text((x + 17, 45), label, _TEXT, _font(14))
            x += 17 + draw.textlength(label, _font(14)) + 20


def _draw_scale(draw: "ImageDraw", highest: int) -> int:
    """Draw the grid and its numbers; returns the number at its top."""
    step = _round_step(highest)
    top = -(-max(highest, 1) // step) * step
    for count in range(0, top + 1, step):
        y = _height(count, top)
        draw.line((LEFT, y, RIGHT, y), _EDGE if count == 0 else _GRID)
        draw.text((LEFT - 8, y), _short(count), _FAINT, _font(13), anchor="rm")
    draw.text((20, TOP - 22), "attempts", _FAINT, _font(13))
    return top


def _draw_bars(draw: "ImageDraw", timeline: Timeline, top: int) -> None:
    slot = (RIGHT - LEFT) / len(timeline.steps)
    for number, step in enumerate(timeline.steps):
        left = LEFT + slot * (number + 0.12)
        below = float(BOTTOM)
        for colour, height in _stacked(step.outcomes, top):
            draw.rectangle((left, below - height, left + slot * 0.76, below - 1), colour)
            below -= height


def _stacked(outcomes: dict[AttemptOutcome, int], top: int) -> list[tuple[str, int]]:
    """Colour and height of each part of a bar. What a part that is too small to see gains is taken from the
    tallest."""
    parts = [(colour, outcomes[outcome]) for outcome, _, colour in _OUTCOMES if outcomes.get(outcome)]
    if not parts:
        return []
    pixels = (BOTTOM - TOP) / top
    heights = [max(_LEAST, round(count * pixels)) for _, count in parts]
    whole = max(round(sum(count for _, count in parts) * pixels), _LEAST * len(parts))
    heights[heights.index(max(heights))] += whole - sum(heights)
    return [(colour, height) for (colour, _), height in zip(parts, heights, strict=True)]


def _draw_times(draw: "ImageDraw", timeline: Timeline) -> None:
    slot = (RIGHT - LEFT) / len(timeline.steps)
    every = next(count for count in (1, 2, 3, 4, 6, 8, 12, 25) if slot * count >= _FEWEST_BETWEEN_LABELS)
    begins = [step.begins_at for step in timeline.steps]
    for number, (time, day) in enumerate(_labels(begins[::every], timeline.period.step)):
        x = LEFT + slot * number * every
        draw.line((x, BOTTOM, x, BOTTOM + 5), _EDGE)
        draw.text((x, BOTTOM + 8), time, _FAINT, _font(13), anchor="ma")
        draw.text((x, BOTTOM + 24), day, _FAINT, _font(13), anchor="ma")
    draw.text(((LEFT + RIGHT) / 2, HEIGHT - 22), "begin of attempt, UTC", _FAINT, _font(13), anchor="ma")


def _labels(begins: Iterable[datetime], step: timedelta) -> Iterator[tuple[str, str]]:
    """A time of day, and below it the date where a new day begins."""
    shown = ""
    for moment in begins:
        day = f"{moment:%b} {moment.day}"
        if step >= timedelta(days=1):
            yield day, f"{moment:%Y}" if f"{moment:%Y}" != shown else ""
            shown = f"{moment:%Y}"
        else:
            yield (
                f"{moment:%H:%M}" if step >= timedelta(minutes=1) else f"{moment:%H:%M:%S}",
                (day if day != shown else ""),
            )
            shown = day


def _short(count: int) -> str:
    """A count in at most five characters, up to a trillion: 9,999, then 12.3k."""
    if count < 10_000:
        return f"{count:,}"
    scaled, units = count / 1000, iter("kMG")
    unit = next(units)
    while scaled >= 999.5 and unit != "G":
        scaled, unit = scaled / 1000, next(units)
    return f"{scaled:.3g}{unit}"


def _height(count: int, top: int) -> float:
    return BOTTOM - (BOTTOM - TOP) * count / top


def _round_step(highest: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 ... that reaches `highest` in at most five steps."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * 5 >= highest:
                return factor * power
        power *= 10
