"""A webhook receiver."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.e2e.program import PATIENCE


class Receiver(ThreadingHTTPServer):
    """Accepts every post; while `answers` is not set, it keeps the sender waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.count = 0
        """The number of requests."""
        self.last = b""
        """The body of the last request."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.last = self.rfile.read(int(self.headers["content-length"]))
        self.server.count += 1
        self.server.asked.set()
        if self.server.answers.wait(PATIENCE):
            # Slack's response.
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A running receiver; it responds to any waiting senders at the end."""
    with Receiver() as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server
        server.answers.set()
        server.shutdown()
        serving.join()
