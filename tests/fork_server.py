"""The fork server: one process with all imports done, from which the programs of a test run are forked.

Importing the program takes longer than most tests of it. All workers of a run share the server, which ends
when none is connected any more.

    python -m tests.fork_server serve NAME
    python tests/fork_server.py run NAME MODULE [ARGUMENTS ...]

The first starts the server and returns once it listens. The second runs a program, for those that start it by
a command.

The server listens on a Unix socket. A connection is one program: after the server's greeting the client sends
a request with the program's three standard streams, and receives its process id and then its exit code.
Closing the connection kills the program. A connection without a request keeps the server alive.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import termios
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fcntl import ioctl
from typing import NoReturn

PRELOADED = (
    "alembic.command",
    "anyio._backends._asyncio",
    "certctl_mcp.checks.checklist",
    "certctl_mcp.cli.commands.app",
    "certctl_mcp.cli.commands.bulk",
    "certctl_mcp.cli.main",
    "certctl_mcp.cli.worker",
    "certctl_mcp.http.serving",
    "certctl_mcp.mcp_server.stdio",
    "certctl_mcp.notifiers.webhook",
    "certctl_mcp.runtime.application",
    "certctl_mcp.runtime.event_loop",
    "storage.engine.postgresql.backend",
    "tests.builders",
    "tests.first_use",
)

_GREETING = b"ready"
_MAX_REQUEST = 1 << 20
_MAX_NUMBER = 20
_LONGEST_IDLE = 60_000
"""Milliseconds that the server waits for the first connection."""

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Request:
    """`python -m MODULE ARGUMENTS`."""

    module: str
    arguments: Sequence[str]
    environment: dict[str, str]
    directory: str
    on_terminal: bool = False
    """Its standard input is its controlling terminal."""
    network: str | None = None
    """The network namespace that it runs in."""

    def send(self, connection: socket.socket, streams: Sequence[int]) -> None:
        socket.send_fds(connection, [json.dumps(asdict(self)).encode()], streams)


def connect(name: str) -> socket.socket:
    """Returns once the server's imports are done. Raises: OSError if no server with this name listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(_address(name))
        if not connection.recv(len(_GREETING)):
            raise ConnectionResetError("the server has just ended")
    except OSError:
        connection.close()
        raise
    return connection


def _address(name: str) -> str:
    # In the abstract namespace: it leaves no file behind.
    return f"\0{name}"


def serve(name: str) -> None:
    """Start the server in the background, unless it has been started."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            listener.bind(_address(name))
        except OSError:
            return
        listener.listen(100)
        if os.fork():
            return
        os.setsid()
        for module in PRELOADED:
            importlib.import_module(module)
        # Otherwise each program's collector would scan their objects, and so copy their memory pages.
        gc.collect()
        gc.freeze()
        _Server(listener).run()


def run(name: str, module: str, *arguments: str) -> int:
    """Run a program on our standard streams; returns its exit code."""
    with connect(name) as connection:
        Request(module, arguments, dict(os.environ), os.getcwd()).send(connection, (0, 1, 2))
        os.closerange(0, 3)
        program = int(connection.recv(_MAX_NUMBER))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: send_signal(program, number))
        return int(connection.recv(_MAX_NUMBER))


def send_signal(program: int, number: int) -> None:
    """Send a signal to a program, unless the server has reaped it and its exit code is still on the way."""
    with suppress(ProcessLookupError):
        os.kill(program, number)


class _Server:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._programs: dict[int, tuple[int, socket.socket]] = {}
        """Each program's id and connection, by the descriptor that becomes readable when it ends."""

    def run(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll(_LONGEST_IDLE):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor in self._programs:
                    self._reap(descriptor)
                elif descriptor in self._connections:
                    self._receive(descriptor)
            if not self._connections:
                return

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)
        _tell(connection, _GREETING)

    def _receive(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        try:
            received, streams, _, _ = socket.recv_fds(connection, _MAX_REQUEST, 3)
        except ConnectionError:
            received, streams = b"", []
        if received:
            self._start(Request(**json.loads(received)), streams, connection)
            return
        self._forget(connection)
        for ended, (_, its) in self._programs.items():
            if its is connection:
                signal.pidfd_send_signal(ended, signal.SIGKILL)

    def _start(self, request: Request, streams: Sequence[int], connection: socket.socket) -> None:
        program = os.fork()
        if program == 0:
            _run(request, streams)
        for stream in streams:
            os.close(stream)
        ended = os.pidfd_open(program)
        self._programs[ended] = program, connection
        self._poll.register(ended, select.POLLIN)
        _tell(connection, str(program).encode())

    def _reap(self, ended: int) -> None:
        program, connection = self._programs.pop(ended)
        self._poll.unregister(ended)
        os.close(ended)
        _, status = os.waitpid(program, 0)
        if connection.fileno() >= 0:
            _tell(connection, str(os.waitstatus_to_exitcode(status)).encode())
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        del self._connections[connection.fileno()]
        self._poll.unregister(connection)
        connection.close()


def _tell(connection: socket.socket, message: bytes) -> None:
    """A client that has gone is noticed by the end of its connection."""
    with suppress(ConnectionError):
        connection.send(message)


def _run(request: Request, streams: Sequence[int]) -> None:
    """Become the program: except for the imports, it behaves as if started by itself."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # A run in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request.network is not None:
        enter_network(request.network)
    os.setsid()
    if request.on_terminal:
        ioctl(0, termios.TIOCSCTTY)
    os.chdir(request.directory)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.path[:0] = [place for place in request.environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.argv[:] = [request.module, *request.arguments]
    files = {
        "stdin": os.fdopen(0, closefd=False),
        "stdout": os.fdopen(1, "w", closefd=False),
        "stderr": os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False),
    }
    for name, file in files.items():
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)
    code = 0
    try:
        runpy.run_module(request.module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    _exit(code)


def _exit(code: int) -> NoReturn:
    """End as the interpreter does, but without finalizing all imported modules, which would take longer than
    most programs run."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except OSError as failure:
            # What the interpreter says then, and its exit code.
            os.write(2, f"Exception ignored in: {stream!r}\n{type(failure).__name__}: {failure}\n".encode())
            code = 120
    os._exit(code)


def enter_network(network: str) -> None:
    """Move this thread into a network namespace."""
    with open(f"/run/netns/{network}") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(run(*sys.argv[2:]))
