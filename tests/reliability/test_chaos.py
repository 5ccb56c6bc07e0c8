"""A short chaos run. `python -m tests.reliability` runs longer, and repeats the run of a seed."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.exploration import size
from tests.reliability.chaos.checker import Pause, Record, violations
from tests.reliability.chaos.database_state import Attempt, DatabaseState, Row
from tests.reliability.chaos.receiver import Request
from tests.reliability.chaos.run import run
from tests.reliability.chaos.schedule import Behaviour, behaviour, schedule

SECONDS = size(short=5, long=300)


@pytest.mark.both_databases
async def test_a_chaos_run_violates_no_invariant(
    database_url: str, chance: random.Random, tmp_path: Path
) -> None:
    report = await run(database_url, chance.randrange(2**32), SECONDS, tmp_path)
    again = f"python -m tests.reliability --seed {report.seed} --minutes {SECONDS / 60:g}"
    assert report.violations == [], f"{again}\n" + "\n".join(map(str, report.events))


def test_a_seed_determines_the_run() -> None:
    where = (60.0, ["worker"], ["Alpha", "Beta"], ["worker"])
    assert schedule(7, *where) == schedule(7, *where) != schedule(8, *where)
    tried = [[behaviour(seed, "alert 1", number) for number in range(40)] for seed in (7, 7, 8)]
    assert tried[0] == tried[1] != tried[2]


ROW = Row("n-1", "alert 1", "Alpha", "sent", "2026-01-01", None, 0, None, None, 1, None)
DEAD = Row("n-1", "alert 1", "Alpha", "dead", None, None, 4, None, "answered 503", 5, None)
DELIVERED = Request("Alpha", "worker-1", "n-1", "alert 1", Behaviour.ACCEPT, 1, 2, 204)
FAILED = Request("Alpha", "worker-1", "n-1", "alert 1", Behaviour.REFUSE, 1, 2, 503)
SENT = Attempt("n-1", 1, "sent", None, late=False)
OUTCOMES = ("failed", "failed", "failed", "failed", "dead")
FAILURES = [Attempt("n-1", number, outcome, "503", late=False) for number, outcome in enumerate(OUTCOMES, 1)]
REPEATED = replace(ROW, attempt_count=2)


OTHER = Request("Alpha", "worker-2", "n-1", "alert 1", Behaviour.ACCEPT, 1.5, 3, 204)
CUT = Request("Alpha", "worker-1", "n-1", "alert 1", Behaviour.CUT, 1, 1.1)
AGAIN = replace(DELIVERED, begun=1.7)
TWICE = [SENT, Attempt("n-1", 2, "sent", None, late=False)]


def accepted(*pauses: Pause, jumps: Iterable[str] = ()) -> Record:
    return Record({"alert 1": "n-1"}, pauses=list(pauses), wrong_clocks=set(jumps))


@pytest.mark.parametrize(
    ("record", "requests", "stored", "found"),
    [
        (accepted(), [DELIVERED], DatabaseState([ROW], [SENT], []), []),
        (accepted(), [FAILED] * 5, DatabaseState([DEAD], FAILURES, []), ["two live"] * 4),
        (accepted(), [], DatabaseState([], [], []), ["not stored"]),
        (Record(), [DELIVERED], DatabaseState([ROW], [SENT], []), ["never accepted"]),
        (Record(unanswered={"alert 1"}), [DELIVERED], DatabaseState([ROW], [SENT], []), []),
        (accepted(), [], DatabaseState([ROW], [SENT], []), ["no receiver accepted it"]),
        (
            accepted(),
            [DELIVERED],
            DatabaseState([replace(ROW, sent_at=None)], [SENT], []),
            ["without a delivery"],
        ),
        (
            accepted(),
            [DELIVERED],
            DatabaseState([replace(ROW, status="failed")], [SENT], []),
            ["not settled"],
        ),
        (
            accepted(),
            [DELIVERED],
            DatabaseState([replace(ROW, lease_owner="w")], [SENT], []),
            ["still leased"],
        ),
        (accepted(), [DELIVERED], DatabaseState([ROW], [], []), ["0 attempts are recorded"]),
        (accepted(), [DELIVERED], DatabaseState([ROW], [SENT], ["page 3"]), ["integrity"]),
        (accepted(jumps={"worker-2"}), [CUT, OTHER, AGAIN], DatabaseState([REPEATED], TWICE, []), []),
        (accepted(), [DELIVERED, OTHER], DatabaseState([REPEATED], TWICE, []), ["two live attempts"]),
        (accepted(Pause("worker-1", 1.2, 4)), [DELIVERED, OTHER], DatabaseState([REPEATED], TWICE, []), []),
        (accepted(jumps={"worker-2"}), [DELIVERED, OTHER], DatabaseState([REPEATED], TWICE, []), []),
        (
            accepted(jumps={"worker-1"}),
            [DELIVERED, replace(OTHER, sender="worker-1")],
            DatabaseState([REPEATED], TWICE, []),
            ["two live attempts"],
        ),
        (
            accepted(),
            [DELIVERED],
            DatabaseState([replace(DEAD, retry_count=4)], FAILURES, []),
            ["dead because of"],
        ),
    ],
)
def test_the_checker_finds(
    record: Record, requests: list[Request], stored: DatabaseState, found: list[str]
) -> None:
    broken = violations(record, requests, stored)
    assert len(broken) == len(found), broken
    assert all(expected in one for one, expected in zip(broken, found, strict=True)), broken
