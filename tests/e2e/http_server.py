"""The HTTP server as a process, on a free port."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
import pytest

from tests.e2e.program import PATIENCE
from tests.processes import Program

ADMIN, OPERATOR, READER = "key-of-ada", "key-of-otto", "key-of-rita"
KEYS = {"CERTCTL_API_KEYS_NAMED": f"ada:{ADMIN}:admin,otto:{OPERATOR},rita:{READER}:read-only"}


@dataclass
class HttpProcess:
    """A listening server."""

    process: Program
    url: str = ""
    log: list[str] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.reading = threading.Thread(target=self.read)
        self.reading.start()

    def client(self, key: str | None = OPERATOR) -> httpx2.AsyncClient:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE)

    def read(self) -> None:
        """Read the server's log until it ends: a server blocks once the pipe of an unread log is full."""
        assert self.process.stderr
        for line in map(bytes.decode, self.process.stderr):
            with self.told:
                self.log.append(line)
                self.told.notify_all()

    def wait_until(self, event: str) -> str:
        """The first line of the log that contains the event."""

        def found() -> str | None:
            return next((line for line in self.log if event in line), None)

        with self.told:
            line = self.told.wait_for(found, PATIENCE)
        if line is None:
            pytest.fail(f"{event!r} is missing from the log: {''.join(self.log)}")
        return line

    def ends(self) -> tuple[int, str]:
        """The exit code, and the whole log."""
        code = self.process.wait(PATIENCE)
        self.reading.join()
        return code, "".join(self.log)


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[HttpProcess]:
    """`certctl-mcp serve --http`; it is killed at the end, if it is still there."""
    arguments = ("serve", "--http", "--port", "0", *options)
    process = Program("certctl_mcp", *arguments, environment=environment, stderr=subprocess.PIPE)
    server = HttpProcess(process)
    try:
        found = re.search(r"serving on (\S+),", server.wait_until("serving on "))
        assert found
        server.url = found[1]
        yield server
    finally:
        process.kill()
        server.ends()
        process.close()
