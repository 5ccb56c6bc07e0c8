"""A webhook's other end."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.e2e.program import PATIENCE


class Receiver(ThreadingHTTPServer):
    """Takes what is posted; while `answers` is not set, it keeps the sender waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.count = 0
        """How often it was asked."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.count += 1
        self.server.asked.set()
        if self.server.answers.wait(PATIENCE):
            self.send_response(204)
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...
