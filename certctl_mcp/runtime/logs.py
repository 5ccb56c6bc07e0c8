"""Log lines: time, level, logger, message. They go to stderr, because stdout may belong to a protocol."""

import logging
import time
from types import TracebackType

from certctl_mcp.text.untrusted import escape_hidden

_LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_MOMENT = "%Y-%m-%dT%H:%M:%S"

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_stderr(level: str) -> None:
    """Log every event of `level` and above. The first step of a server and of a worker."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Alembic logs its own set-up at info level.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class _LineFormatter(logging.Formatter):
    """One line for each event. Events hold untrusted text, which must not control a terminal or forge a line.

    Only the traceback of a defect takes more than one line.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_LINE, _MOMENT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escape_hidden(super().formatMessage(record)).replace("\n", "\\n")

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        return escape_hidden(super().formatException(ei)).replace("\n", "\n  ")
