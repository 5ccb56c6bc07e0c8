"""The cost of listing 50 of a million notifications over stdio, compared with a call that does nothing.

The median round trip of a tool call is compared with that of an empty tool in a bare SDK server, once with a
client that writes and reads plain lines, once with the SDK's own. Both servers stay up and are called in
turns.
"""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client

from tests.benchmarks.comparison import Comparison, Figures, Target
from tests.benchmarks.rounds import Turn, by_figure, take_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import BARE, Command, Json, Server, ours, serving, serving_sdk_client
from tests.benchmarks.sqlite_queues import Life
from tests.benchmarks.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    tool: str
    arguments: Mapping[str, Json]


NOTHING = "nothing"
NEWEST = "list_notifications, newest"
DEAD = "list_notifications, dead"

_NOTHING = Call("nothing", {})
_LISTS = {
    NEWEST: Call("list_notifications", {"limit": 50}),
    DEAD: Call("list_notifications", {"limit": 50, "status": ["dead"]}),
}
_TARGETS = [Target(NEWEST, "at most", 2.5, NOTHING), Target(DEAD, "at most", 2.5, NOTHING)]


def run(scale: Scale, workspace: Workspace) -> list[Comparison]:
    command = ours(workspace.large_queue(scale.rows, Life.SETTLED))
    return [
        Comparison("Round trip, plain lines", "us", _over_plain_lines(command, scale), _TARGETS),
        Comparison("Round trip, the SDK's client", "us", _with_the_sdk(command, scale), _TARGETS),
    ]


def _over_plain_lines(command: Command, scale: Scale) -> Figures:
    def turn(server: Server, call: Call) -> dict[str, float]:
        took = []
        for _ in range(scale.calls):
            begun = time.perf_counter()
            server.call(call.tool, call.arguments)
            took.append(time.perf_counter() - begun)
        return _median(took)

    with ExitStack() as open_:
        bare, our = (open_.enter_context(serving(server)) for server in (BARE, command))
        for server in (bare, our):
            server.initialize()
        return _compared(partial(turn, bare), partial(turn, our), scale.rounds)


def _with_the_sdk(command: Command, scale: Scale) -> Figures:
    async def calls(client: Client, call: Call) -> dict[str, float]:
        took = []
        for _ in range(scale.calls):
            begun = time.perf_counter()
            result = await client.call_tool(call.tool, dict(call.arguments))
            took.append(time.perf_counter() - begun)
            assert not result.is_error, result
        return _median(took)

    def turn(portal: BlockingPortal, client: Client, call: Call) -> dict[str, float]:
        return portal.call(calls, client, call)

    with start_blocking_portal() as portal, ExitStack() as open_:
        log = open_.enter_context(Path(os.devnull).open("w"))
        bare, our = (
            open_.enter_context(portal.wrap_async_context_manager(serving_sdk_client(server, log)))
            for server in (BARE, command)
        )
        return _compared(partial(turn, portal, bare), partial(turn, portal, our), scale.rounds)


def _compared(bare: "partial[dict[str, float]]", our: "partial[dict[str, float]]", rounds: int) -> Figures:
    contestants: dict[str, Turn] = {NOTHING: partial(bare, _NOTHING)}
    contestants |= {name: partial(our, call) for name, call in _LISTS.items()}
    warming_up = 1
    take_turns(contestants, warming_up)
    return by_figure(take_turns(contestants, rounds))["took"]


def _median(took: list[float]) -> dict[str, float]:
    return {"took": median(took) * 1e6}
