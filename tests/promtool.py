"""Prometheus' own judgement of what is made for it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path, given: str = "") -> str:
    """What it has to say; a test fails where it finds a fault."""
    program = shutil.which("promtool")
    if program is None:
        missing = "there is no promtool, which Debian has in its package prometheus"
        # Where everything has to be proven, what could not be tried is a failure.
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    judged = subprocess.run(
        [program, *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout
    return judged.stdout
