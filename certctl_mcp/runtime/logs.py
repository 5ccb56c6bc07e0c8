"""Log lines: time, level, logger, message. They go to stderr, because stdout may belong to a protocol."""

import logging
import time
from types import TracebackType

from certctl_mcp.text.untrusted import escape_hidden

_LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_MOMENT = "%Y-%m-%dT%H:%M:%S"

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_stderr(level: str) -> None:
    """Write a line for every event from `level` on. A server's and a worker's first step."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Alembic tells of its own set-up as if it were an event.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class _LineFormatter(logging.Formatter):
    """Events hold text from outside, which must not steer a terminal or pass for an event of its own.

    Only a defect's traceback takes more lines than one.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_LINE, _MOMENT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escape_hidden(super().formatMessage(record)).replace("\n", "\\n")

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        return escape_hidden(super().formatException(ei)).replace("\n", "\n  ")
