"""The manifest of the bundle (MCPB 0.4), which a desktop host installs when it is double-clicked.

The host runs the server with uv. The tools are those of the server's own catalog. For an option that the user
leaves empty, a host substitutes the default; without a default, the server would get `${user_config.KEY}`
itself. So every option has a default that the server treats as unset.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from certctl_mcp.config.tool_groups import DEFAULT_TOOLS, served_tools
from certctl_mcp.mcp_server.tools.catalog import catalog
from release.home import Home
from release.options import OPTIONS, Option
from release.project import Project

ENTRY_POINT = "server/main.py"

_TYPES: dict[str, Literal["string", "file", "boolean"]] = {
    "text": "string",
    "file": "file",
    "switch": "boolean",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Author(_Part):
    name: str
    url: str | None = None


class Repository(_Part):
    type: Literal["git"] = "git"
    url: str


class Launch(_Part):
    """How a host starts the server; `${__dirname}` is the directory of the unpacked bundle."""

    command: Literal["uv"] = "uv"
    args: tuple[str, ...] = (
        "run",
        "--directory",
        "${__dirname}",
        "--frozen",
        "--no-dev",
        "--extra",
        "postgres",
        ENTRY_POINT,
    )
    env: dict[str, str]


class Server(_Part):
    type: Literal["uv"] = "uv"
    entry_point: str = ENTRY_POINT
    mcp_config: Launch


class Tool(_Part):
    name: str
    description: str


class UserOption(_Part):
    type: Literal["string", "file", "boolean"]
    title: str
    description: str
    required: bool = False
    default: str | bool
    sensitive: bool | None = None


class Runtimes(_Part):
    python: str


class Compatibility(_Part):
    platforms: tuple[Literal["linux", "darwin", "win32"], ...] = ("linux", "darwin", "win32")
    runtimes: Runtimes


class Manifest(_Part):
    """The whole document."""

    manifest_version: Literal["0.4"] = "0.4"
    name: str
    display_name: str
    version: str
    description: str
    long_description: str
    author: Author
    repository: Repository | None = None
    homepage: str | None = None
    documentation: str | None = None
    support: str | None = None
    icon: str
    server: Server
    tools: tuple[Tool, ...]
    tools_generated: bool = True
    """The settings can add `purge_notifications`."""
    prompts_generated: bool = True
    keywords: tuple[str, ...]
    license: str
    compatibility: Compatibility
    user_config: dict[str, UserOption]

    def text(self) -> str:
        return self.model_dump_json(exclude_none=True, indent=2) + "\n"


def manifest(project: Project, home: Home | None, icon: str) -> Manifest:
    """The manifest of this version. `icon` is the path of a picture in the bundle."""
    env = {option.variable: f"${{user_config.{option.key}}}" for option in OPTIONS}
    urls = home.urls if home else {}
    return Manifest(
        name=project.name,
        display_name=project.title,
        version=project.version,
        description=project.description,
        long_description=LONG_DESCRIPTION,
        author=Author(name=project.author, url=urls.get("Homepage")),
        repository=Repository(url=home.url) if home else None,
        homepage=urls.get("Homepage"),
        documentation=urls.get("Documentation"),
        support=urls.get("Issues"),
        icon=icon,
        server=Server(mcp_config=Launch(env=env)),
        tools=tuple(
            Tool(name=tool.name, description=_first_sentence(tool.description))
            for tool in catalog(served_tools(DEFAULT_TOOLS, (), read_only=False))
        ),
        keywords=project.keywords,
        license=project.license,
        compatibility=Compatibility(runtimes=Runtimes(python=project.requires_python)),
        user_config={option.key: _user_option(option) for option in OPTIONS},
    )


LONG_DESCRIPTION = (
    "Keeps certificate alerts that Slack, the mail relay or a webhook could not take, retries them with "
    "exponential backoff, and moves them to a dead-letter queue after the last attempt. Ask which alerts "
    "died and why, requeue them, and watch them arrive. The assistant can only send to the channels that "
    "you configure here; bulk actions ask for confirmation first."
)


def _first_sentence(description: str) -> str:
    """The first sentence, which people read in a list; the rest is for the assistant."""
    return description.partition(". ")[0].removesuffix(".") + "."


def _user_option(option: Option) -> UserOption:
    return UserOption(
        type=_TYPES[option.kind],
        title=option.title,
        description=option.description,
        default=False if option.kind == "switch" else "",
        sensitive=option.secret or None,
    )
