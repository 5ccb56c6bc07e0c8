"""huey on SQLite, as durable as ours until a worker takes a task: WAL, synced commits, no results kept.

Its consumer runs in this process, or in processes that it forks. Each of its workers posts over its own
keep-alive connection, with the cheapest client that Python has.

Arguments: the database's path, the receiver's URL, number of tasks, kind of workers, number of workers.
"""

import json
import sys
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from huey import SqliteHuey

from tests.benchmarks.contestants.posts import CONTENT_TYPE, posts
from tests.benchmarks.receiver import received, wait_until_received


def deliver(database: str, receiver: str, count: int, kind: str, workers: int) -> dict[str, float]:
    queue = SqliteHuey(filename=database, results=False, fsync=True, journal_mode="wal", strict_fifo=False)
    address = urlsplit(receiver).netloc
    kept = threading.local()

    @queue.task()  # type: ignore[untyped-decorator]
    def post(body: bytes, headers: dict[str, str]) -> None:
        if not hasattr(kept, "connection"):
            kept.connection = HTTPConnection(address)
        kept.connection.request("POST", "/hook", body, headers)
        answer = kept.connection.getresponse()
        answer.read()
        assert answer.status == 204

    waiting = posts(f"{receiver}/hook", count)
    before = received(receiver)
    begun = time.perf_counter()
    for alert in waiting:
        post(alert.body, {**CONTENT_TYPE, **alert.headers})
    accepted = time.perf_counter()
    consumer = queue.create_consumer(
        worker_type=kind, workers=workers, periodic=False, check_worker_health=False
    )
    consumer.start()
    wait_until_received(receiver, before + count)
    ended = time.perf_counter()
    consumer.stop(graceful=True)
    return {
        "delivered": count / (ended - accepted),
        "accepted and delivered": count / (ended - begun),
    }


if __name__ == "__main__":
    path, to, how_many, kind_of_workers, number = sys.argv[1:]
    print(json.dumps(deliver(path, to, int(how_many), kind_of_workers, int(number))))
