"""The bundle for desktop hosts, a `.mcpb` file: the sources of the server, its lock file and the manifest.

The same sources always give the same bytes, so its digest can be checked by building it again.
"""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from release.home import Home
from release.manifest import ENTRY_POINT, manifest
from release.project import Project

ICON = Path(__file__).with_name("icon.png")

# What uv needs to install the server, and the server itself.
_FILES = ("pyproject.toml", "uv.lock", "README.md", "LICENSE")
_PACKAGES = ("certctl_mcp", "storage")

# Python searches a script's own directory for modules first, so a script inside the package would import the
# package's `http` instead of Python's.
_MAIN = """\
from certctl_mcp.cli.main import main

main()
"""

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16


def bundle_name(project: Project) -> str:
    return f"{project.name}-{project.version}.mcpb"


def write_bundle(sources: Path, project: Project, home: Home | None, directory: Path) -> Path:
    """Write the bundle of these sources into `directory` and return its path."""
    contents = {
        "manifest.json": manifest(project, home, ICON.name).text().encode(),
        ICON.name: ICON.read_bytes(),
        ENTRY_POINT: _MAIN.encode(),
        **{path.relative_to(sources).as_posix(): path.read_bytes() for path in _server(sources)},
    }
    bundle = directory / bundle_name(project)
    with ZipFile(bundle, "w") as archive:
        for name, content in contents.items():
            entry = ZipInfo(name, _LONG_AGO)
            entry.external_attr = _READABLE
            archive.writestr(entry, content, ZIP_DEFLATED)
    return bundle


def _server(sources: Path) -> Iterator[Path]:
    yield from (sources / name for name in _FILES)
    for package in _PACKAGES:
        for path in sorted((sources / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
