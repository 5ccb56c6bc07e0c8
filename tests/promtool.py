"""Prometheus' own checker of metrics and rules."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path, given: str = "") -> str:
    """The output of promtool; the test fails if it finds an error."""
    program = shutil.which("promtool")
    if program is None:
        missing = "there is no promtool, which Debian has in its package prometheus"
        # In CI, nothing may be skipped.
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    checked = subprocess.run(
        [program, *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    return checked.stdout
