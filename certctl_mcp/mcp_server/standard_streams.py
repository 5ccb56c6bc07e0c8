"""How are lines read from stdin and written to stdout while an event loop runs?

Readiness is awaited and nothing is made non-blocking: that would change the terminal or socket for every
process that shares it. No thread waits in a read either, so a process whose peer says nothing can end.
Pipes, sockets, terminals and files all serve.
"""

import fcntl
import os
import select
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.lowlevel

_READ_SIZE = 64 * 1024

_WRITE_SIZE = 4096
"""What a pipe takes without blocking once it is writable (POSIX's PIPE_BUF on Linux)."""


def claim_standard_streams() -> tuple[int, int]:
    """Take stdin and stdout for a protocol, for the rest of the process, and give their new descriptors.

    From here on `print` goes to stderr and `input` finds nothing, here and in every child.
    """
    stdin, stdout = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        # Started without a stderr.
        os.dup2(nothing, 1)
    os.close(nothing)
    sys.stdout.flush()
    return stdin, stdout


async def read_lines(fd: int) -> AsyncIterator[bytes]:
    """Each line without its end, the last one also if it has none. A peer that breaks off ends them too."""
    line: list[bytes] = []
    while chunk := await _read(fd):
        *ends, beginning = chunk.split(b"\n")
        for end in ends:
            yield b"".join((*line, end))
            line.clear()
        line.append(beginning)
    if any(line):
        yield b"".join(line)


async def write_line(fd: int, line: bytes) -> None:
    """Write `line` and its end.

    Raises:
        OSError: nobody reads any more.
    """
    rest = memoryview(line + b"\n")
    writable = select.poll()
    writable.register(fd, select.POLLOUT)
    while rest:
        # Asked directly first: a turn of the event loop for every piece costs more than writing it.
        if not writable.poll(0):
            await _when_ready(anyio.wait_writable, fd)
        rest = rest[os.write(fd, rest[:_WRITE_SIZE]) :]


async def _read(fd: int) -> bytes:
    try:
        await _when_ready(anyio.wait_readable, fd)
        return os.read(fd, _READ_SIZE)
    except OSError:
        # A socket reset by its peer or a terminal hung up: nothing more will come.
        return b""


async def _when_ready(wait: Callable[[int], Awaitable[None]], fd: int) -> None:
    try:
        await wait(fd)
    except PermissionError:
        # A regular file can't be waited for, and is always ready.
        await anyio.lowlevel.checkpoint()
