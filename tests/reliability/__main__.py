"""Run chaos on a queue and check that it kept its promises: `python -m tests.reliability`.

Workers and servers with different channels share a database while processes are killed and stopped, the
database is locked, a clock jumps, and receivers hang, hang up and ask the sender to retry later. A seed
repeats the same faults.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgresql
from tests.reliability.chaos.run import Report, run

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seed", type=int, default=random.randrange(2**32), help="repeat the run of this seed"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults happen (1)")
    parser.add_argument("--database", choices=DATABASES, action="append", help="only on this one")
    parser.add_argument("--log", action="store_true", help="show what the processes wrote")
    given = parser.parse_args()
    kept = True
    for kind in given.database or DATABASES:
        with tempfile.TemporaryDirectory() as place, _database(kind, Path(place)) as url:
            report = asyncio.run(run(url, given.seed, given.minutes * 60, Path(place)))
        _show(kind, report, given.minutes, log=given.log)
        kept &= not report.violations
    return 0 if kept else 1


@contextmanager
def _database(kind: str, place: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{place}/notifications.db"
        return
    with postgresql.serving() as server:
        yield server.url()


def _show(kind: str, report: Report, minutes: float, *, log: bool) -> None:
    print(f"{kind}, seed {report.seed}: {report.summary}")
    if log:
        print(report.log, file=sys.stderr)
    if report.violations:
        print(*(f"    {event}" for event in report.events), sep="\n")
        print(*(f"  broken: {one}" for one in report.violations), sep="\n")
        again = f"--seed {report.seed} --minutes {minutes:g} --database {kind}"
        print(f"  again: python -m tests.reliability {again}")


if __name__ == "__main__":
    sys.exit(main())
