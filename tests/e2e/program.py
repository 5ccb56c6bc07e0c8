"""The program as a process: run to its end, run until it is stopped, or run on a terminal."""

import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import ioctl

import pytest

from tests.processes import Program

PATIENCE = 30.0
HEARD_WITHIN = 2.0
"""Seconds."""

ALERT = ["send", "it expires", "--channel", "Webhook", "--type", "ExpirationWarning"]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def certctl(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, run to its end."""
    pipe = subprocess.PIPE
    process = Program(
        "certctl_mcp",
        *arguments,
        environment=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stdout
    assert process.stderr
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        with ThreadPoolExecutor() as reading:
            told = reading.submit(process.stderr.read)
            shown = process.stdout.read()
        code = process.wait()
    finally:
        watchdog.cancel()
        process.close()
    return subprocess.CompletedProcess(arguments, code, _text(shown), _text(told.result()))


def _text(output: bytes) -> str:
    return output.decode().replace("\r\n", "\n")


class Worker:
    def __init__(self, process: Program) -> None:
        self.process = process

    def wait_until(self, event: str) -> str:
        """The first line of the log that contains the event."""
        assert self.process.stderr
        for line in map(bytes.decode, self.process.stderr):
            if event in line:
                return line
        pytest.fail(f"{event!r} is missing from the log")

    def ends(self) -> tuple[int, str]:
        assert self.process.stderr
        rest = self.process.stderr.read().decode()
        return self.process.wait(), rest


@contextmanager
def working(environment: dict[str, str], *arguments: str) -> Iterator[Worker]:
    process = Program("certctl_mcp", "worker", *arguments, environment=environment, stderr=subprocess.PIPE)
    # Reading from it needs no time limit of its own: a read ends when the process does.
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        yield Worker(process)
    finally:
        watchdog.cancel()
        process.close()


class Terminal:
    """A program on its own terminal, 80 columns wide."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._terminal, program = pty.openpty()
        ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self.process = Program(
            "certctl_mcp",
            *arguments,
            environment=environment,
            stdin=program,
            stdout=program,
            stderr=program,
            on_terminal=True,
        )
        os.close(program)
        self._shown = b""

    @property
    def seen(self) -> str:
        return ANSI.sub("", self._shown.decode(errors="replace").replace("\r\n", "\n"))

    def wait_until(self, text: str) -> None:
        while text not in self.seen:
            if not self._reads_on():
                pytest.fail(f"{text!r} was never shown; the terminal shows: {self.seen}")

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C, and again if it was ignored, as between showing a question and reading the answer."""
        self.type("\x03")
        while self.process.returncode is None:
            if not select.select([self._terminal], [], [], HEARD_WITHIN)[0]:
                self.type("\x03")
            elif not self._reads_on():
                return

    def hang_up(self) -> int:
        """Close the terminal's window; returns the exit code."""
        os.close(self._terminal)
        return self._exit_code()

    def ends(self) -> int:
        """The exit code, once everything it showed is in `seen`."""
        while self._reads_on():
            pass
        os.close(self._terminal)
        return self._exit_code()

    def _exit_code(self) -> int:
        code = self.process.wait(PATIENCE)
        self.process.close()
        return code

    def _reads_on(self) -> bool:
        """Wait for more to be shown; false once the program has closed its end."""
        try:
            self._shown += os.read(self._terminal, 65536)
        except OSError:
            return False
        return True
