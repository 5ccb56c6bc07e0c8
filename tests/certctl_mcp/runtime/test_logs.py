import logging
import re
from collections.abc import Iterator

import pytest

from certctl_mcp.runtime.logs import log_to_stderr

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


def test_a_line_tells_when_how_grave_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("warning")
    logging.getLogger("certctl_mcp").info("nothing of note")
    assert capsys.readouterr().err == ""


def test_text_from_outside_stays_on_its_line_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("certctl_mcp").info("%s", "HTTP 500\n2026-01-01T00:00:00.000Z INFO forged: \x1b[2J")
    line = LINE.fullmatch(capsys.readouterr().err)
    assert line is not None
    assert line["message"] == r"HTTP 500\n2026-01-01T00:00:00.000Z INFO forged: \u{1b}[2J"


def test_a_traceback_is_indented_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    try:
        raise RuntimeError("a defect \x1b[2J")
    except RuntimeError:
        logging.getLogger("certctl_mcp").exception("a sweep failed")
    first, *trace = capsys.readouterr().err.splitlines()
    assert first.endswith("a sweep failed")
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == r"  RuntimeError: a defect \u{1b}[2J"
