"""The public home of the project: its owner and all URLs, from `home.toml` only.

URLs are derived only here, so a project that has no home yet can't publish one.
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOT = Path(__file__).parents[1]
HOME_FILE = Path(__file__).with_name("home.toml")

_ACCOUNT = r"^(?:[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})?$"
_REPOSITORY = r"^[A-Za-z0-9._-]{1,100}$"
_ADDRESS = r"^(?:[^@\s<>]+@[^@\s<>]+)?$"


class ReleaseError(Exception):
    """A release can't be made; the message says what to change."""


class Home(BaseModel):
    """The public location of the project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Annotated[str, Field(pattern=_ACCOUNT)]
    repository: Annotated[str, Field(pattern=_REPOSITORY)]
    on_package_index: bool
    security_contact: Annotated[str, Field(pattern=_ADDRESS)]

    @property
    def url(self) -> str:
        return f"https://github.com/{self.owner}/{self.repository}"

    @property
    def urls(self) -> dict[str, str]:
        """The project's URLs under the labels that a package index shows with an icon."""
        return {
            "Homepage": self.url,
            "Documentation": f"{self.url}/tree/main/docs",
            "Source": self.url,
            "Issues": f"{self.url}/issues",
            "Changelog": f"{self.url}/blob/main/CHANGELOG.md",
        }

    @property
    def server_name(self) -> str:
        """The server's name in the MCP registry, in the namespace that the owner's account grants."""
        return f"io.github.{self.owner}/{self.repository}"

    @property
    def security_reports(self) -> str:
        """Where to report a vulnerability privately."""
        return self.security_contact or f"{self.url}/security/advisories/new"

    def page(self, path: str, version: str) -> str:
        """The URL for reading a file of this version."""
        return f"{self.url}/blob/v{version}/{path}"

    def picture(self, path: str, version: str) -> str:
        """The URL of a file's raw contents, for other pages that show it."""
        return f"https://raw.githubusercontent.com/{self.owner}/{self.repository}/v{version}/{path}"

    def download(self, file: str, version: str) -> str:
        """The URL of a file attached to the release of this version."""
        return f"{self.url}/releases/download/v{version}/{file}"


def load_home(file: Path = HOME_FILE) -> Home | None:
    """The home in `file`, or None while it has no owner.

    Raises: ReleaseError: a value is wrong, missing or unknown.
    """
    try:
        home = Home.model_validate(tomllib.loads(file.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(f"{file.name} is not TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{found['loc'][0]}: {found['msg']}" for found in error.errors())
        raise ReleaseError(f"{file.name} is wrong: {problems}") from None
    return home if home.owner else None
