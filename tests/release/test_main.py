import shlex
from pathlib import Path

import pytest

from release.__main__ import main, read_options
from release.home import ROOT


def test_the_documented_commands_are_understood() -> None:
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in page.splitlines() if "-m release" in line]
    commands = [shlex.split(line)[3:] for line in lines if line.startswith(".venv/bin/python")]
    assert commands
    for arguments in commands:
        read_options(arguments)


def test_it_says_in_a_line_why_nothing_was_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "of-another-version.whl").touch()
    assert main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"release: {tmp_path} is not empty: remove it, or name another directory with --out\n"
    )
