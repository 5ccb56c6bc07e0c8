"""Runs commands for the release, and shows the output of one that fails."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import uv

from release.home import ReleaseError


def run(
    command: list[str], environment: Mapping[str, str] = os.environ, directory: Path | None = None
) -> str:
    """Run the command and return its output. Raises: ReleaseError: it failed; the message has its output."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}")
    return done.stdout


def build_package(sources: Path, directory: Path, *targets: str) -> None:
    """Build these targets, `sdist` and `wheel`, into `directory`, with the installed build backend."""
    chosen = [argument for target in targets for argument in ("--target", target)]
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    run([*hatchling, "--directory", str(directory.resolve()), *chosen], directory=sources)


def uv_program() -> str:
    return os.fspath(uv.find_uv_bin())
