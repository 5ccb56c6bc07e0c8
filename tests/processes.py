"""Real processes for tests, forked from one with all imports done.

Importing the program takes longer than most tests of it.
"""

import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [
        "alembic.command",
        "certctl_mcp.runtime.application",
        "certctl_mcp.cli.commands.app",
        "certctl_mcp.http.serving",
        "certctl_mcp.mcp_server.stdio",
        "certctl_mcp.cli.worker",
        "tests.builders",
        "tests.gc_freeze",
    ]
)

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
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> None:
        self.stdin, child_stdin = _to_read(stdin)
        self.stdout, child_stdout = _to_write(stdout, 1)
        self.stderr, child_stderr = _to_write(stderr, 2)
        streams = (child_stdin, child_stdout, child_stderr)
        pickled = (module, arguments, dict(environment), *(_Descriptor(stream) for stream in streams))
        self._process = processes.Process(target=_run, args=pickled, daemon=True)
        self._process.start()
        for stream in streams:
            os.close(stream)
        assert self._process.pid
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Kill it if it still runs, and close our ends of its streams."""
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()


@dataclass(frozen=True, slots=True)
class _Descriptor:
    """A file descriptor that unpickles in the process as the number of a duplicate."""

    number: int

    def __reduce__(self) -> tuple[Callable[..., int], tuple[Any]]:
        return _descriptor_number, (DupFd(self.number),)


def _descriptor_number(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


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


def _run(module: str, arguments: tuple[str, ...], environment: dict[str, str], *streams: int) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.argv[:] = [module, *arguments]
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    # Joins threads, runs exit handlers and finalizes modules, as at a normal exit.
    ctypes.pythonapi.Py_Exit(code)
