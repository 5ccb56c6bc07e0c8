"""Reports of comparisons, as tables for people and as JSON for programs."""

import os
import platform
from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks.comparison import Comparison, Target

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def show(comparison: Comparison, console: Console) -> None:
    """A table with a line for each contestant, then a line for each target."""
    table = Table(
        "contestant", "turns", title=f"{comparison.title} ({comparison.unit})", title_justify="left"
    )
    for heading in ("median", "least", "most"):
        table.add_column(heading, justify="right")
    for contestant, values in comparison.figures.items():
        figures = (median(values), min(values), max(values))
        table.add_row(contestant, str(len(values)), *(f"{figure:,.1f}" for figure in figures))
    console.print(table)
    for target in comparison.targets:
        console.print(f"  {_verdict(target, comparison)}", highlight=False)
    console.print()


def document(benchmarks: Mapping[str, Sequence[Comparison]]) -> Json:
    """All measurements by benchmark, with a description of the machine."""
    return {
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
        },
        "benchmarks": {
            name: [_compared(comparison) for comparison in compared] for name, compared in benchmarks.items()
        },
    }


def _verdict(target: Target, comparison: Comparison) -> str:
    measured = target.measured(comparison.figures)
    verdict = "met" if target.is_met(comparison.figures) else "MISSED"
    if target.against is None:
        asked = f"{target.limit} {target.bound:g} {comparison.unit}"
    else:
        asked = f"{target.limit} {target.bound:g} times {target.against}"
    return f"{target.contestant}: {measured:.2f}, target {asked}: {verdict}"


def _compared(comparison: Comparison) -> Json:
    return {
        "title": comparison.title,
        "unit": comparison.unit,
        "figures": {
            contestant: {"median": median(values), "values": list(values)}
            for contestant, values in comparison.figures.items()
        },
        "targets": [
            {
                "contestant": target.contestant,
                "against": target.against,
                "limit": target.limit,
                "bound": target.bound,
                "measured": target.measured(comparison.figures),
                "met": target.is_met(comparison.figures),
            }
            for target in comparison.targets
        ],
    }
