"""The gain from group commit: durable accepts by 32 callers in one process.

SQLite with synchronous FULL. The comparison is the same number of callers with the same libraries, each of
which commits its rows one by one on its own connection, with immediate transactions and a busy timeout.
"""

from functools import partial

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.rounds import by_figure, in_fresh_process, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.workspace import Workspace

CALLERS = 32
OURS = "ours"
ONE_BY_ONE = "one by one"


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    def turn(program: str) -> dict[str, float]:
        return in_fresh_process(program, workspace.new_database(), CALLERS, scale.accepting_seconds)

    contestants = {OURS: partial(turn, "our_accepts"), ONE_BY_ONE: partial(turn, "accepts_one_by_one")}
    figures = by_figure(take_turns(contestants, scale.rounds))
    return [
        Comparison("Accepted", "rows a second", figures["rate"], [Target(OURS, "at least", 10, ONE_BY_ONE)]),
        Comparison("99th percentile", "ms", figures["p99"], [Target(OURS, "below", 1, ONE_BY_ONE)]),
    ]
