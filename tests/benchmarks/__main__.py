"""Run benchmarks: `python -m tests.benchmarks [NAME ...]`, all of them when none is named.

    deliveries  durable deliveries a second, compared with bare HTTP clients and huey
    accepts     durable accepts by many callers, compared with callers that each commit
    listing     a list from a million notifications, compared with a tool that does nothing
    start       time to the first response, compared with a bare server
    memory      an idle server compared with a bare one, and growth during sweeps
    postgresql  deliveries a second and their latency on PostgreSQL, compared with procrastinate
    workers     one, two and four workers on one PostgreSQL
    waking      how soon an idle worker attempts an alert accepted on another host
    growth      a thousand due among ten thousand, one million and ten million rows on PostgreSQL
    history     queries of ten million rows on PostgreSQL and of one million on SQLite
    load        two hundred clients of the HTTP server, while alerts are accepted and delivered

They need the extra `bench`, Linux, and an otherwise idle machine. `growth` and `history` share a history that
needs 30 GB and most of an hour.
PostgreSQL must be installed; its data is kept in /var/tmp or TMPDIR.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks import (
    accepts,
    deliveries,
    growth,
    history,
    listing,
    load,
    memory,
    on_postgresql,
    start,
    waking,
    workers,
)
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.report import document, show
from tests.benchmarks.scale import FULL, TINY, Scale
from tests.benchmarks.workspace import Workspace, workspace

BENCHMARKS: Mapping[str, Callable[[Scale, Workspace], Sequence[Comparison]]] = {
    "deliveries": deliveries.run,
    "accepts": accepts.run,
    "listing": listing.run,
    "start": start.run,
    "memory": memory.run,
    "postgresql": on_postgresql.run,
    "workers": workers.run,
    "waking": waking.run,
    "growth": growth.run,
    "history": history.run,
    "load": load.run,
}


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    console = Console()
    done: dict[str, Sequence[Comparison]] = {}
    with workspace(given.directory) as space:
        for name in given.names or BENCHMARKS:
            console.rule(name)
            done[name] = BENCHMARKS[name](TINY if given.tiny else FULL, space)
            for comparison in done[name]:
                show(comparison, console)
    if given.json:
        given.json.write_text(json.dumps(document(done), indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BENCHMARKS])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured here")
    parser.add_argument("--directory", type=Path, help="where databases are kept, which decides the disk")
    parser.add_argument("--tiny", action="store_true", help="see whether it runs; the figures tell nothing")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
