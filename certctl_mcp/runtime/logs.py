"""Log lines as text or JSON. They go to stderr, because stdout may belong to a protocol.

Every line, including those of libraries at debug level, is redacted, truncated and escaped. The rate of lines
of one kind is limited, so that nobody can fill a disk by making the server log errors.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from certctl_mcp.text.redaction import redact_beginning
from certctl_mcp.text.untrusted import escape_hidden

LogFormat = Literal["text", "json"]

LINES_AT_ONCE = 200
LINES_A_SECOND = 50
"""The most lines of one kind, that is, from one logger with one format."""

MAX_MESSAGE = 8_000
MAX_TRACEBACK = 32_000
"""Characters."""

_MAX_KINDS = 1_000

_LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_MOMENT = "%Y-%m-%dT%H:%M:%S"

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_stderr(level: str, log_format: LogFormat = "text") -> None:
    """Log every event at `level` and above. This is the first step of a server or worker."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter() if log_format == "text" else _JsonFormatter())
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Alembic logs its own set-up at info level.
    logging.getLogger("alembic").setLevel(logging.WARNING)


@dataclass(slots=True)
class _Kind:
    tokens: float
    at: float
    suppressed: int = 0


class RateLimit(logging.Filter):
    """Drops lines that come too fast. The next line that gets through says how many were dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        # For libraries that format messages themselves, every line would be its own kind.
        key = (record.name, record.levelno, str(record.msg) if record.args else "")
        if key not in self._kinds and len(self._kinds) >= _MAX_KINDS:
            self._kinds.clear()
        kind = self._kinds.setdefault(key, _Kind(LINES_AT_ONCE, now))
        kind.tokens = min(LINES_AT_ONCE, kind.tokens + (now - kind.at) * LINES_A_SECOND)
        kind.at = now
        if kind.tokens < 1:
            kind.suppressed += 1
            return False
        kind.tokens -= 1
        if kind.suppressed:
            record.msg = f"{record.getMessage()} ({kind.suppressed} more lines like this were dropped)"
            record.args = None
            kind.suppressed = 0
        return True


class _LineFormatter(logging.Formatter):
    """One line for each event. Events hold untrusted text, which must not control a terminal or forge a line.

    Only the traceback of a bug takes more than one line.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_LINE, _MOMENT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _clean(record.message, MAX_MESSAGE)
        return super().formatMessage(record).replace("\n", "\\n")

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        return _clean(super().formatException(ei), MAX_TRACEBACK).replace("\n", "\n  ")


class _JsonFormatter(_LineFormatter):
    """One JSON object for each event."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": f"{self.formatTime(record, _MOMENT)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage(), MAX_MESSAGE),
        }
        if record.exc_info:
            document["exception"] = _clean(
                logging.Formatter.formatException(self, record.exc_info), MAX_TRACEBACK
            )
        return json.dumps(document, ensure_ascii=False)


def _clean(text: str, limit: int) -> str:
    cut = len(text) - limit
    # Surrogates, which no stream can encode, are among the characters that are escaped.
    shown = escape_hidden(redact_beginning(text, limit))
    return shown if cut <= 0 else f"{shown} [{cut} more characters cut]"
