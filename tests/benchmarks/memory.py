"""The memory of an idle server, and its growth while sweeping a long queue.

Idle: after `initialize`, `tools/list` and, for ours, a summary, so that its database is open. Compared with a
bare SDK server with one tool. Sweeping: the peak during several sweeps of a thousand notifications, above the
memory before, with a long queue in which everything is due, and with a queue no longer than the sweeps.
"""

import time
from functools import partial

from tests.benchmarks.comparison import Comparison, Target
from tests.benchmarks.receiver import receiving
from tests.benchmarks.resident_memory import resident
from tests.benchmarks.rounds import Turn, by_figure, in_fresh_process, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import BARE, Command, ours, serving
from tests.benchmarks.sqlite_queues import Life
from tests.benchmarks.workspace import Workspace

BARE_SERVER = "bare"
EXISTING = "ours, existing database"
NEW = "ours, new database"


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    return [_idle(scale, workspace), _sweeping(scale, workspace)]


def _idle(scale: Scale, workspace: Workspace) -> Comparison:
    existing = workspace.large_queue(scale.rows, Life.SETTLED)
    settle = scale.settle_seconds
    contestants: dict[str, Turn] = {
        EXISTING: partial(_idle_server, ours(existing), "dashboard_summary", settle),
        BARE_SERVER: partial(_idle_server, BARE, "nothing", settle),
        NEW: lambda: _idle_server(ours(workspace.new_database()), "dashboard_summary", settle),
    }
    figures = by_figure(take_turns(contestants, scale.rounds))
    targets = [Target(EXISTING, "at most", 1.35, BARE_SERVER), Target(NEW, "at most", 1.35, BARE_SERVER)]
    return Comparison("Idle server", "MB", figures["resident"], targets)


def _idle_server(command: Command, tool: str, settle_seconds: float) -> dict[str, float]:
    with serving(command) as server:
        server.initialize()
        server.request("tools/list", {})
        server.call(tool, {})
        time.sleep(settle_seconds)
        return {"resident": resident(server.pid)}


def _sweeping(scale: Scale, workspace: Workspace) -> Comparison:
    swept = scale.sweeps * scale.sweep_limit
    long, short = f"{scale.rows:,} due", f"{swept:,} due"
    growth: dict[str, list[float]] = {}
    with receiving() as receiver:
        for contestant, rows in ((long, scale.rows), (short, swept)):
            queue = workspace.large_queue(rows, Life.DUE)
            measured = in_fresh_process("our_sweeps", queue, receiver, scale.sweeps, scale.sweep_limit)
            growth[contestant] = [measured["growth"]]
    return Comparison("Growth by sweeping", "MB", growth, [Target(long, "at most", 50)])
