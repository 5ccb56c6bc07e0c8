"""A webhook receiver that refuses everything until it is repaired."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Keeps the ids of the notifications that it accepted, by the path that they were posted to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repaired = False
        self.accepted: defaultdict[str, list[str]] = defaultdict(list)
        self._arrived = threading.Condition()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def accept(self, path: str, notification_id: str) -> None:
        with self._arrived:
            self.accepted[path].append(notification_id)
            self._arrived.notify_all()

    def has_accepted(self, path: str, number: int, within: float) -> bool:
        """Whether this path has received that many; waits for them for up to `within` seconds."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.accepted[path]) >= number, within)


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        serving = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            serving.join()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.repaired:
            self.server.accept(self.path, self.headers["webhook-id"])
        self.send_response(204 if self.server.repaired else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...
