"""The programs on a reader's PATH, which call back into the test: ours is forked, others are fakes.

Our program runs as usual, except that its imports are already done. What another name does is up to
the caller.
"""

import marshal
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from tempfile import TemporaryDirectory

from tests.processes import Program
from tests.ram_disk import MEMORY

_CLIENT = """\
#!{python} -SI
# Without the modules `json` and `socket`, whose imports take as long as all the rest.
import _socket, marshal, os, sys

line = _socket.socket(_socket.AF_UNIX)
line.connect({address!r})
call = marshal.dumps([sys.argv, dict(os.environ), os.getcwd()])
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
line.sendmsg([call], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
sys.exit(int(line.recv(16)))
"""

_LONGEST_CALL = 1 << 18


@dataclass(frozen=True)
class Call:
    """A call of a program, with its streams."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    streams: tuple[int, int, int]

    def __str__(self) -> str:
        return " ".join((self.name, *self.arguments))

    def say(self, text: str) -> None:
        os.write(self.streams[2], f"{text}\n".encode())

    def run(self, module: str, *arguments: str, started: Callable[[Program], None] = lambda _: None) -> int:
        """Run a module in place of the program; its exit code, as a shell has it."""
        stdin, stdout, stderr = self.streams
        program = Program(
            module,
            *arguments,
            environment=self.environment,
            directory=self.directory,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        started(program)
        try:
            code = program.wait()
        finally:
            program.close()
        return 128 - code if code < 0 else code


class Programs:
    """Serves the calls of the programs that it has created."""

    def __init__(self, address: str, answer: Callable[[Call], int]) -> None:
        self._address = address
        self._answer = answer
        self._server = ThreadingUnixStreamServer(address, self._handler())
        self._server.daemon_threads = True

    def put(self, file: Path) -> None:
        """Make `file` a program that calls back."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_CLIENT.format(python=sys.executable, address=self._address))
        file.chmod(0o755)

    def _handler(self) -> type[BaseRequestHandler]:
        answer = self._answer

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                line: socket.socket = self.request
                message, streams, _, _ = socket.recv_fds(line, _LONGEST_CALL, 3)
                (name, *arguments), environment, directory = marshal.loads(message)
                stdin, stdout, stderr = streams
                call = Call(
                    Path(name).name, tuple(arguments), environment, Path(directory), (stdin, stdout, stderr)
                )
                try:
                    code = answer(call)
                finally:
                    for stream in streams:
                        os.close(stream)
                line.sendall(str(code).encode())

        return Handler

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def programs(answer: Callable[[Call], int]) -> Iterator[Programs]:
    # The path of a socket must be short.
    with TemporaryDirectory(prefix="docs-", dir=MEMORY) as directory:
        found = Programs(f"{directory}/socket", answer)
        with found.serving():
            yield found
