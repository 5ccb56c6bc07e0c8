"""The MCP hosts that `certctl-mcp install` supports: where each keeps its configuration, and in which
format."""

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Host(StrEnum):
    """A program that launches MCP servers."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VS_CODE = "vscode"
    ZED = "zed"
    GEMINI_CLI = "gemini-cli"
    CODEX = "codex"


class Format(StrEnum):
    """The format of a host's file."""

    JSON = "json"
    TOML = "toml"


@dataclass(frozen=True, slots=True)
class Location:
    """Where the servers are in a host's configuration."""

    file: Path
    table: str
    """The key of the table of servers."""
    format: Format = Format.JSON
    extra: tuple[tuple[str, str], ...] = ()
    """Additional fields of an entry that this host needs."""


def location(host: Host, home: Path, directory: Path, platform: str = sys.platform) -> Location:
    """Where `host` looks for servers, for the user with this home directory.

    `directory` is the project's directory: Claude Code keeps its file there.
    """
    roaming = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming"))
    library = {
        "darwin": home / "Library" / "Application Support",
        "win32": roaming,
    }.get(platform, home / ".config")
    zed = roaming / "Zed" if platform == "win32" else home / ".config" / "zed"
    match host:
        case Host.CLAUDE_DESKTOP:
            return Location(library / "Claude" / "claude_desktop_config.json", "mcpServers")
        case Host.CLAUDE_CODE:
            return Location(directory / ".mcp.json", "mcpServers")
        case Host.CURSOR:
            return Location(home / ".cursor" / "mcp.json", "mcpServers")
        case Host.VS_CODE:
            file = library / "Code" / "User" / "mcp.json"
            return Location(file, "servers", extra=(("type", "stdio"),))
        case Host.ZED:
            return Location(zed / "settings.json", "context_servers")
        case Host.GEMINI_CLI:
            return Location(home / ".gemini" / "settings.json", "mcpServers")
        case Host.CODEX:
            return Location(home / ".codex" / "config.toml", "mcp_servers", Format.TOML)
