"""Configuration that starts the program with a settings file: entries for MCP hosts, a systemd unit, a
compose file."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from certctl_mcp.cli.hosts.configuration import entry, render_entry
from certctl_mcp.cli.hosts.locations import Host, location
from certctl_mcp.runtime.platform import user_id

_UNIT = "certctl-mcp-worker.service"

_INSTALLED = Path("/etc/certctl-mcp/settings.toml")
"""The path from which the unit reads the settings."""

_INSTALL_SETTINGS = re.compile(r"(?m)^(#\s{1,8}install -D .{0,80}) settings\.toml ")
_INSTALL_SECRET = re.compile(r"(?m)^#\s{1,8}install -D .{0,80}/secrets/.{0,80}\n")
_SECRET = re.compile(r"(?m)^(?=LoadCredential=|Environment=)")


def host_entries(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Hosts that take the same entry, and the entry."""
    hosts: dict[str, list[str]] = {}
    for host in Host:
        place = location(host, Path.home(), Path.cwd())
        hosts.setdefault(render_entry(place, entry(place, command)), []).append(host.value)
    for text, names in hosts.items():
        yield ", ".join(names), text


def systemd_unit(file: Path) -> str:
    """The unit of a worker. Its first lines say how to install it with this settings file.

    The settings file contains the secrets. The lines for a secret in its own file are commented out, because
    the unit doesn't start without that file.
    """
    unit = _INSTALL_SECRET.sub("", (files(__package__) / _UNIT).read_text())
    unit = _SECRET.sub("#", unit)
    if file == _INSTALLED:
        return unit
    return _INSTALL_SETTINGS.sub(lambda line: f"{line[1]} {shlex.quote(str(file))} ", unit)


def compose_file(file: Path, database: Path | None) -> str:
    """A worker in a container, with the settings and a SQLite database at the same paths as here."""
    volumes = [f"{file}:{file}:ro", *([] if database is None else [f"{database.parent}:{database.parent}"])]
    lines = [
        "services:",
        "  certctl-mcp:",
        "    image: certctl-mcp",
        f"    command: {json.dumps(['worker', '--config', str(file)])}",
        # Only their owner may read the files.
        f"    user: {json.dumps(user_id())}",
        "    volumes:",
        *(f"      - {json.dumps(volume)}" for volume in volumes),
        "    read_only: true",
        "    tmpfs: [/tmp]",
        "    restart: unless-stopped",
        "    stop_grace_period: 30s",
    ]
    return "\n".join(lines) + "\n"
