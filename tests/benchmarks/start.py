"""The time from starting the server to its response to `initialize`.

Compared with a bare SDK server with one tool, on a large existing queue and on a database to be created.
"""

import time
from functools import partial

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import BARE, Command, ours, serving
from tests.benchmarks.sqlite_queues import Life
from tests.benchmarks.workspace import Workspace

NEW = "ours, new database"
EXISTING = "ours, existing database"
NONE = "bare"


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    existing = workspace.large_queue(scale.rows, Life.SETTLED)
    contestants: dict[str, Turn] = {
        EXISTING: partial(_start, ours(existing)),
        NONE: partial(_start, BARE),
        NEW: lambda: _start(ours(workspace.new_database())),
    }
    figures = by_figure(take_turns(contestants, scale.starts))
    targets = [Target(EXISTING, "at most", 1.15, NONE), Target(NEW, "at most", 1.15, NONE)]
    return [Comparison("Time to first response", "ms", figures["answered"], targets)]


def _start(command: Command) -> dict[str, float]:
    begun = time.perf_counter()
    with serving(command) as server:
        server.initialize()
        answered = time.perf_counter()
    return {"answered": (answered - begun) * 1000}
