"""Everything in this package that differs between operating systems, with a POSIX and a Windows part.

No other module of the package imports `fcntl`, `select.poll` or a signal that only some systems have.
`storage.platform` is the same for storage. mypy checks both parts (`--platform win32`, `--platform darwin`).
"""

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

READ_SIZE = 64 * 1024
"""The most bytes read at once."""

_PIPE_WRITE_SIZE = 4096
"""Bytes that a writable pipe takes without blocking (POSIX's PIPE_BUF on Linux)."""

_PARENT_CHECK_INTERVAL = timedelta(seconds=1)
"""How often to check for the parent if the kernel can't report its death."""


class ThreadedReader:
    """Reads a file descriptor in a daemon thread, for systems that can't wait for one to become readable.

    A daemon thread that is still blocked in a read doesn't keep the process from exiting. It buffers at most
    one chunk.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._send, self._receive = anyio.create_memory_object_stream[bytes](0)
        self._started = False

    async def read(self) -> bytes:
        """The next bytes; empty at the end of the input."""
        if not self._started:
            self._started = True
            token = anyio.lowlevel.current_token()
            threading.Thread(target=self._run, args=(token,), daemon=True, name="stdin reader").start()
        try:
            return await self._receive.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._receive.close()
            return b""

    def _run(self, token: anyio.lowlevel.EventLoopToken) -> None:
        try:
            while chunk := self._read_chunk():
                anyio.from_thread.run(self._send.send, chunk, token=token)
            anyio.from_thread.run_sync(self._send.close, token=token)
        except (RuntimeError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.RunFinishedError):
            # The event loop has ended, or nobody is reading any more.
            return

    def _read_chunk(self) -> bytes:
        try:
            return os.read(self._fd, READ_SIZE)
        except OSError:
            return b""


async def write_in_thread(fd: int, data: bytes) -> None:
    """Write all of `data` in a thread, for systems that can't wait for a descriptor to become writable.

    Raises:
        OSError: the other end is closed.
    """
    rest = memoryview(data)
    while rest:
        written = await anyio.to_thread.run_sync(os.write, fd, rest[:READ_SIZE], abandon_on_cancel=True)
        rest = rest[written:]


if sys.platform == "win32":
    import msvcrt

    PROGRAM_SUFFIX = ".exe"
    """The suffix of an installed program's file name."""

    ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGBREAK)
    """The signals that ask a process to end."""

    HANG_UP: signal.Signals | None = None
    """The signal that asks a service to reload its settings, or means that a program's terminal is gone."""

    @contextmanager
    def receive_signals() -> Iterator[AsyncIterator[signal.Signals]]:
        """The ending signals as they arrive. Windows' event loop has no signal handlers of its own."""
        send, receive = anyio.create_memory_object_stream[signal.Signals](10)
        token = anyio.lowlevel.current_token()

        def handle(number: int, _: object) -> None:
            anyio.from_thread.run_sync(send.send_nowait, signal.Signals(number), token=token)

        earlier = {number: signal.signal(number, handle) for number in ENDING_SIGNALS}
        try:
            yield receive
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def kill_group(leader: int) -> None:
        """Kill this process. Windows has no process groups, so the processes that it started continue."""
        with suppress(OSError):
            os.kill(leader, signal.SIGTERM)

    async def wait_for_parent_exit(parent: int) -> None:
        """Never returns: on Windows a host that dies closes the server's stdin, which ends it."""
        await anyio.sleep_forever()

    def claim_standard_streams() -> tuple[int, int]:
        """See the POSIX part."""
        stdin, stdout = os.dup(0), os.dup(1)
        for fd in (stdin, stdout):
            os.set_inheritable(fd, False)
            # Text mode would turn every line feed into two characters.
            msvcrt.setmode(fd, os.O_BINARY)
        _redirect_standard_streams()
        return stdin, stdout

    def chunks_of(fd: int) -> Callable[[], Awaitable[bytes]]:
        """A function that returns the next bytes of `fd`, and no bytes at its end."""
        return ThreadedReader(fd).read

    async def write_all(fd: int, data: bytes) -> None:
        """Write all of `data`. Raises: OSError: the other end is closed."""
        await write_in_thread(fd, data)

    def user_id() -> str:
        """The name for a user without one."""
        return "unknown"

    def raise_file_limit(wanted: int) -> int:
        """See the POSIX part. Windows has no such limit."""
        return wanted

else:
    import fcntl
    import resource
    import select

    PROGRAM_SUFFIX = ""
    """The suffix of an installed program's file name."""

    ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    """The signals that ask a process to end."""

    HANG_UP: signal.Signals | None = signal.SIGHUP
    """See the Windows part."""

    @contextmanager
    def receive_signals() -> Iterator[AsyncIterator[signal.Signals]]:
        """The ending signals as they arrive. Main thread only."""
        with anyio.open_signal_receiver(*ENDING_SIGNALS) as signals:
            yield signals

    def kill_group(leader: int) -> None:
        """Kill the process that leads a group, and all others of the group."""
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)

    async def wait_for_parent_exit(parent: int) -> None:
        """Wait until `parent`, as returned by `os.getppid()`, has died."""
        if sys.platform == "linux":
            try:
                handle = os.pidfd_open(parent)
            except (AttributeError, OSError):
                # An old kernel, or a Python built for one.
                await _wait_for_adoption(parent)
                return
            try:
                # The id may have been reused before the handle was open; a new parent id shows that.
                if os.getppid() == parent:
                    await anyio.wait_readable(handle)
            finally:
                os.close(handle)
        else:
            await _wait_for_adoption(parent)

    async def _wait_for_adoption(parent: int) -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 (there is no event to wait for)
            await anyio.sleep(_PARENT_CHECK_INTERVAL.total_seconds())

    def claim_standard_streams() -> tuple[int, int]:
        """Take stdin and stdout for a protocol until the process exits, and return their new descriptors.

        From then on `print` writes to stderr and `input` reads nothing, in this process and its children.
        """
        stdin, stdout = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
        _redirect_standard_streams()
        return stdin, stdout

    def chunks_of(fd: int) -> Callable[[], Awaitable[bytes]]:
        """A function that returns the next bytes of `fd`, and no bytes at its end.

        It waits until the descriptor is readable. Nothing is made non-blocking: that would change the
        terminal or socket for every process that shares it. No thread waits in a read either, so that a
        process whose peer is silent can exit.
        """

        async def read() -> bytes:
            try:
                await _when_ready(anyio.wait_readable, fd)
                return os.read(fd, READ_SIZE)
            except OSError:
                # A socket reset by its peer or a terminal that hung up: nothing more will come.
                return b""

        return read

    async def write_all(fd: int, data: bytes) -> None:
        """Write all of `data`, waiting while the pipe is full. Raises: OSError: it is closed."""
        rest = memoryview(data)
        writable = select.poll()
        writable.register(fd, select.POLLOUT)
        while rest:
            # Polled first, because a turn of the event loop for each chunk costs more than writing it.
            if not writable.poll(0):
                await _when_ready(anyio.wait_writable, fd)
            rest = rest[os.write(fd, rest[:_PIPE_WRITE_SIZE]) :]

    async def _when_ready(wait: Callable[[int], Awaitable[None]], fd: int) -> None:
        try:
            await wait(fd)
        except PermissionError:
            # It is impossible to wait for a regular file, which is always ready.
            await anyio.lowlevel.checkpoint()

    def user_id() -> str:
        """The name for a user without one: a container may run under an id that has no name."""
        return str(os.getuid())

    def raise_file_limit(wanted: int) -> int:
        """The number of files that this process may open, after raising it to `wanted` if the system allows
        that."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft == resource.RLIM_INFINITY:
            return wanted
        if soft >= allowed:
            return soft
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed


def _redirect_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        # Started without a stderr.
        os.dup2(null, 1)
    os.close(null)
    sys.stdout.flush()
