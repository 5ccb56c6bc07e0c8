"""Real processes for tests, forked from the fork server, so that none has to import the program first."""

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from socket import socket
from typing import IO

from tests import fork_server

ROOT = Path(__file__).parents[1]

Stream = int | IO[bytes] | None
"""A descriptor or file, `PIPE`, `DEVNULL`, or None to inherit the tests' stream."""


class Program:
    """`python -m MODULE ARGUMENTS`, started with its imports done, with the interface of `subprocess.Popen`.

    Except for the imports, it behaves like a separate program: environment, streams, signals and the exit
    of the interpreter.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] = os.environ,
        directory: Path = ROOT,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        on_terminal: bool = False,
        network: str | None = None,
    ) -> None:
        """`on_terminal`: its standard input is its controlling terminal. `network`: a network namespace."""
        self.stdin, child_stdin = _to_read(stdin)
        self.stdout, child_stdout = _to_write(stdout, 1)
        self.stderr, child_stderr = _to_write(stderr, 2)
        streams = (child_stdin, child_stdout, child_stderr)
        request = fork_server.Request(
            module, arguments, dict(environment), str(directory), on_terminal, network
        )
        self._connection = fork_server.connect(server_name())
        self._receiving = threading.Lock()
        self._code: int | None = None
        request.send(self._connection, streams)
        for stream in streams:
            os.close(stream)
        self.pid = int(self._connection.recv(20))

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            fork_server.send_signal(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it still runs, and close our ends of its streams."""
        self.kill()
        self.wait()
        self._connection.close()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()

    def _ended(self, within: float | None) -> int | None:
        """The exit code, if it ends within so many seconds."""
        if self._code is None and _is_readable(self._connection, within):
            with self._receiving:
                if self._code is None:
                    self._code = int(self._connection.recv(20))
        return self._code


def forked(module: str) -> list[str]:
    """A command that starts a module with its imports done, for programs that start others by a command."""
    return [sys.executable, "-IS", fork_server.__file__, "run", server_name(), module]


def server_name() -> str:
    """The name of this run's fork server, which is started if it isn't running."""
    with _STARTING:
        _keep_server_alive()
    return _NAME


_NAME = f"certctl-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID') or os.getpid()}"
_STARTING = threading.Lock()


@cache
def _keep_server_alive() -> None:
    while True:
        try:
            connection = fork_server.connect(_NAME)
        except ConnectionError:
            subprocess.run([sys.executable, "-m", fork_server.__name__, "serve", _NAME], cwd=ROOT, check=True)
        else:
            atexit.register(connection.close)
            return


def _is_readable(connection: socket, within: float | None) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(None if within is None else within * 1000))


def _to_read(stream: Stream) -> tuple[IO[bytes] | None, int]:
    """Our end of the pipe, if there is one, and the descriptor that the process reads."""
    if stream == subprocess.PIPE:
        theirs, ours = os.pipe()
        return open(ours, "wb"), theirs
    return None, _duplicate(stream, 0)


def _to_write(stream: Stream, standard: int) -> tuple[IO[bytes] | None, int]:
    if stream == subprocess.PIPE:
        ours, theirs = os.pipe()
        return open(ours, "rb"), theirs
    return None, _duplicate(stream, standard)


def _duplicate(stream: Stream, standard: int) -> int:
    if stream == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR)
    if stream is None:
        return os.dup(standard)
    return os.dup(stream if isinstance(stream, int) else stream.fileno())
