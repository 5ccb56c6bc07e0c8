from pathlib import Path

import pytest

from release.__main__ import main


def test_the_reason_why_nothing_was_built_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "of-another-version.whl").touch()
    assert main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"release: {tmp_path} is not empty: remove it, or name another directory with --out\n"
    )
