import json
import logging
import re
from collections.abc import Iterator

import pytest

from certctl_mcp.runtime.logs import LINES_AT_ONCE, MAX_MESSAGE, LogFormat, RateLimit, log_to_stderr

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?P<level>[A-Z]+) (?P<name>\S+): (?P<message>.*)\n"
)


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_its_time_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("storage.engine.group_commit").warning("waited %d s", 3)
    written = capsys.readouterr()
    line = LINE.fullmatch(written.err)
    assert line is not None
    assert line.groupdict() == {
        "level": "WARNING",
        "name": "storage.engine.group_commit",
        "message": "waited 3 s",
    }
    assert written.out == ""


def test_records_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("warning")
    logging.getLogger("certctl_mcp").info("nothing of note")
    assert capsys.readouterr().err == ""


def test_untrusted_text_stays_on_its_line_and_controls_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("certctl_mcp").info("%s", "HTTP 500\n2026-01-01T00:00:00.000Z INFO forged: \x1b[2J")
    line = LINE.fullmatch(capsys.readouterr().err)
    assert line is not None
    assert line["message"] == r"HTTP 500\n2026-01-01T00:00:00.000Z INFO forged: \u{1b}[2J"


def test_a_traceback_is_indented_and_controls_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    try:
        raise RuntimeError("a defect \x1b[2J")
    except RuntimeError:
        logging.getLogger("certctl_mcp").exception("a sweep failed")
    first, *trace = capsys.readouterr().err.splitlines()
    assert first.endswith("a sweep failed")
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == r"  RuntimeError: a defect \u{1b}[2J"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_are_redacted_in_the_log_lines_of_every_library(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    log_to_stderr("debug", log_format)
    logging.getLogger("aiohttp.client").debug("POST %s", "https://hooks.slack.com/services/T0/B0/unguessable")
    try:
        raise RuntimeError("Authorization: Bearer unguessable")
    except RuntimeError:
        logging.getLogger("asyncio").exception("password=unguessable")
    written = capsys.readouterr().err
    assert "unguessable" not in written
    assert written.count("[redacted]") >= 3


def test_a_json_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info", "json")
    try:
        raise RuntimeError("a defect")
    except RuntimeError:
        logging.getLogger("certctl_mcp").exception("a sweep\nfailed: %s", "\x1b[2J \udc80")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["message"] == "a sweep\nfailed: \\u{1b}[2J \\u{dc80}"
    assert (found["level"], found["logger"]) == ("error", "certctl_mcp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    assert found["exception"].endswith("RuntimeError: a defect")


def test_repeated_lines_are_limited_without_affecting_others(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    log_to_stderr("info")
    (handler,) = logging.getLogger().handlers
    handler.filters[:] = [RateLimit(lambda: now)]
    log = logging.getLogger("certctl_mcp")
    for number in range(LINES_AT_ONCE + 10):
        log.warning("can't accept connection %d", number)
    log.warning("something else")
    assert len(capsys.readouterr().err.splitlines()) == LINES_AT_ONCE + 1
    now += 1
    log.warning("can't accept connection %d", 999)
    assert "connection 999 (10 more lines like this were dropped)" in capsys.readouterr().err


def test_a_long_line_is_truncated(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("certctl_mcp").info("%s", "x" * (MAX_MESSAGE + 7))
    assert capsys.readouterr().err.endswith("x [7 more characters cut]\n")
