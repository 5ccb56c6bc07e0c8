"""Several workers, each a process, empty one queue together."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.receiver import received, wait_until_received
from tests.benchmarks.workspace import ROOT

_PROGRAM = "tests.benchmarks.contestants.our_worker"
CONCURRENCY = 50
"""The concurrency of each worker."""


def empty_queue(workers: int, url: str, receiver: str, due: int) -> dict[str, float]:
    """Deliveries a second of all together, and the time of a claim: the median and the worst worker's p99."""
    command = [sys.executable, "-m", _PROGRAM, url, receiver, str(CONCURRENCY)]
    with ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(workers)
        ]
        for process in started:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        before, begun = received(receiver), time.perf_counter()
        for process in started:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        wait_until_received(receiver, before + due)
        seconds = time.perf_counter() - begun
        shares = [json.loads(process.communicate()[0]) for process in started]
    assert sum(share["delivered"] for share in shares) == due, shares
    # A worker with almost no claims has too few of them for a percentile.
    busy = [share for share in shares if share["delivered"] >= due / workers / 4]
    return {
        "delivered": due / seconds,
        "claim median": median(share["claim median"] for share in busy),
        "claim p99": max(share["claim p99"] for share in busy),
        "smallest share": min(share["delivered"] for share in shares) / due * workers * 100,
    }
