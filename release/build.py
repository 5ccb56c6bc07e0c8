"""Everything that a release publishes: the wheel, the sdist, the bundle and the registry's `server.json`."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from release.bundle import write_bundle
from release.commands import build_package
from release.home import Home, ReleaseError
from release.project import Project, fill_in, unpacked_sources
from release.server_json import server_json


@dataclass(frozen=True, slots=True)
class Release:
    """The files of a release."""

    wheel: Path
    sdist: Path
    bundle: Path
    server_json: Path | None
    """None while the project has no home, because a registry entry must link to it."""

    @property
    def files(self) -> list[Path]:
        found = (self.wheel, self.sdist, self.bundle, self.server_json)
        return [file for file in found if file is not None]


def build(home: Home | None, directory: Path) -> Release:
    """Build all files into `directory`, which must be empty or missing.

    Raises: ReleaseError: a build failed, or there are other files in `directory`.
    """
    if directory.exists() and any(directory.iterdir()):
        raise ReleaseError(f"{directory} is not empty: remove it, or name another directory with --out")
    directory.mkdir(parents=True, exist_ok=True)
    project = Project.read()
    with TemporaryDirectory() as place:
        sources = unpacked_sources(Path(place))
        fill_in(sources, project, home)
        build_package(sources, directory, "sdist", "wheel")
        bundle = write_bundle(sources, project, home, directory)
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return Release(wheel, sdist, bundle, _server_json(project, home, bundle))


def _server_json(project: Project, home: Home | None, bundle: Path) -> Path | None:
    if home is None:
        return None
    digest = sha256(bundle.read_bytes()).hexdigest()
    document = bundle.with_name("server.json")
    document.write_text(server_json(project, home, bundle.name, digest).text())
    return document
