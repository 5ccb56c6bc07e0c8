"""The project's metadata, and its sources with the URLs of its home filled in.

The sources are those of the sdist, so that nothing else in the checkout is released. The checkout itself is
never changed.
"""

import ast
import re
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from release.commands import build_package
from release.home import ROOT, Home, ReleaseError
from release.long_description import long_description

TITLE = "certctl notifications"

_BEFORE_URLS = "[project.scripts]\n"
_CONTACT = re.compile(r"<!-- contact -->\n.*?<!-- /contact -->\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Project:
    """The metadata that the package, the registry and the bundle share."""

    name: str
    version: str
    description: str
    author: str
    keywords: tuple[str, ...]
    license: str
    requires_python: str
    title: str = TITLE

    @classmethod
    def read(cls, root: Path = ROOT) -> Self:
        """The metadata from pyproject.toml, with the version from the same place as in the package build."""
        document = tomllib.loads((root / "pyproject.toml").read_text())
        project = document["project"]
        (author,) = project["authors"]
        return cls(
            name=project["name"],
            version=_version(root / document["tool"]["hatch"]["version"]["path"]),
            description=project["description"],
            author=author["name"],
            keywords=tuple(project["keywords"]),
            license=project["license"],
            requires_python=project["requires-python"],
        )


def _version(module: Path) -> str:
    """The version, without importing the module, which may be another version's."""
    for statement in ast.parse(module.read_text()).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__version__")], value=ast.Constant(value=str(version))):
                return version
    raise ReleaseError(f"{module} sets no __version__")


def unpacked_sources(place: Path, root: Path = ROOT) -> Path:
    """The directory below `place` with the sources as in the checkout's sdist."""
    build_package(root, place, "sdist")
    (archive,) = place.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(place, filter="data")
    archive.unlink()
    (sources,) = place.iterdir()
    return sources


def fill_in(sources: Path, project: Project, home: Home | None) -> None:
    """Write everything that depends on the home into `sources`: URLs, the long description, the contact for
    reports."""
    readme = sources / "README.md"
    readme.write_text(long_description(readme.read_text(), project.name, project.version, home))
    if home is None:
        return
    metadata = sources / "pyproject.toml"
    metadata.write_text(with_urls(metadata.read_text(), home))
    security = sources / "SECURITY.md"
    security.write_text(with_contact(security.read_text(), home))


def with_urls(pyproject: str, home: Home) -> str:
    """The same `pyproject.toml` with the table of the project's URLs."""
    table = "".join(f'{label} = "{url}"\n' for label, url in home.urls.items())
    before, scripts, after = pyproject.partition(_BEFORE_URLS)
    if not scripts:
        raise ReleaseError("pyproject.toml has no [project.scripts], where the urls are put")
    return f"{before}[project.urls]\n{table}\n{scripts}{after}"


def with_contact(security: str, home: Home) -> str:
    """The same `SECURITY.md` with the contact for reports."""
    filled, found = _CONTACT.subn(
        lambda _: f"Report vulnerabilities privately: <{home.security_reports}>.\n", security
    )
    if found != 1:
        raise ReleaseError("SECURITY.md has no <!-- contact --> section for the address of reports")
    return filled
