"""The figures of a comparison, and its targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Figures = Mapping[str, Sequence[float]]
"""The measurements of each turn, by contestant."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for the ratio of two medians, or for one median by itself."""

    contestant: str
    limit: Literal["at least", "at most", "below"]
    bound: float
    against: str | None = None
    """None if the bound is absolute, in the unit of the comparison."""

    def measured(self, figures: Figures) -> float:
        value = median(figures[self.contestant])
        return value if self.against is None else value / median(figures[self.against])

    def is_met(self, figures: Figures) -> bool:
        measured = self.measured(figures)
        match self.limit:
            case "at least":
                return measured >= self.bound
            case "at most":
                return measured <= self.bound
            case "below":
                return measured < self.bound


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contestants measured in turns within one run."""

    title: str
    unit: str
    figures: Figures
    targets: Sequence[Target]
