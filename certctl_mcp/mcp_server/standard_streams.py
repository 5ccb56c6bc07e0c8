"""Reading lines from stdin and writing lines to stdout while an event loop runs."""

from collections.abc import AsyncIterator

from certctl_mcp.runtime.platform import chunks_of, write_all

MAX_LINE = 16 * 1024 * 1024
"""The most bytes of one message. The longest alert, with every character escaped, is under 13 MB."""


async def read_lines(fd: int, *, limit: int = MAX_LINE) -> AsyncIterator[bytes | None]:
    """Each line without its end, including a last line that has none; None for a line longer than `limit`.

    If the peer disconnects, the input ends too.
    """
    read = chunks_of(fd)
    line: list[bytes] = []
    length = 0
    while chunk := await read():
        *ends, beginning = chunk.split(b"\n")
        for end in ends:
            yield b"".join((*line, end)) if length + len(end) <= limit else None
            line.clear()
            length = 0
        length += len(beginning)
        if length <= limit:
            line.append(beginning)
        else:
            line.clear()
    if length > limit:
        yield None
    elif length:
        yield b"".join(line)


async def write_line(fd: int, line: bytes) -> None:
    """Write `line` and its end, waiting while the peer doesn't read.

    Raises:
        OSError: the peer has closed its end.
    """
    await write_all(fd, line + b"\n")
