"""Runs contestants in rounds, in changing order, so that a noisy machine favours none of them."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.workspace import ROOT

Turn = Callable[[], Mapping[str, float]]
"""Measures once; returns figures by name."""


def take_turns(contestants: Mapping[str, Turn], rounds: int) -> dict[str, list[Mapping[str, float]]]:
    """The figures of each turn, by contestant. Every other round runs in reverse order."""
    measured: dict[str, list[Mapping[str, float]]] = {contestant: [] for contestant in contestants}
    for turn in range(rounds):
        order = list(contestants)[:: 1 if turn % 2 == 0 else -1]
        for contestant in order:
            measured[contestant].append(contestants[contestant]())
    return measured


def by_figure(
    measured: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, dict[str, list[float]]]:
    """The same grouped by figure, then by contestant. Not every contestant measures every figure."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for contestant, turns in measured.items():
        for turn in turns:
            for figure, value in turn.items():
                figures[figure][contestant].append(value)
    return {figure: dict(contestants) for figure, contestants in figures.items()}


def in_fresh_process(contestant: str, *arguments: object) -> dict[str, float]:
    """Run a program of `tests.benchmarks.contestants`; returns its measurements."""
    command = [sys.executable, "-m", f"tests.benchmarks.contestants.{contestant}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
