"""Adds this server to a host's configuration or removes it, without touching anything else in the file.

A file that can't be read completely (JSON with comments, for example) is not changed; the entry is printed
for a person to copy.
"""

import json
import os
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from certctl_mcp.cli.hosts.locations import Format, Location

NAME = "certctl-notifications"
"""The server's key. certctl's own MCP server is usually called `certctl`, and both can run side by side."""

Entry = dict[str, object]


class HostConfigurationError(Exception):
    """The file can't be changed safely; nothing was written. The message says why."""


def entry(location: Location, command: Sequence[str]) -> Entry:
    """The host's entry for a server that is started by `command`."""
    program, *arguments = command
    return {**dict(location.extra), "command": program, "args": arguments}


def render_entry(location: Location, given: Entry) -> str:
    """The entry as it appears in the host's file."""
    if location.format is Format.TOML:
        return _toml(location, given)
    return json.dumps({location.table: {NAME: given}}, indent=2, ensure_ascii=False)


def install(location: Location, given: Entry) -> bool:
    """Write the entry; False if it already exists.

    Raises:
        HostConfigurationError: the file isn't valid, or already has another server of this name.
    """
    text = _read(location.file)
    servers = _servers(location, text)
    if NAME in servers:
        if servers[NAME] == given:
            return False
        raise HostConfigurationError(
            f"{location.file} has another server called {NAME}; remove it first with --undo"
        )
    if location.format is Format.TOML:
        separator = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        _write(location.file, text + separator + _toml(location, given))
        return True
    document = _document(location, text)
    document[location.table] = {**servers, NAME: given}
    _write(location.file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return True


def uninstall(location: Location) -> bool:
    """Remove the entry; False if there is none. Raises: HostConfigurationError: the file isn't valid."""
    text = _read(location.file)
    servers = _servers(location, text)
    if NAME not in servers:
        return False
    if location.format is Format.TOML:
        _write(location.file, _without_toml_table(text, f"[{location.table}.{NAME}]"))
        return True
    document = _document(location, text)
    document[location.table] = {name: server for name, server in servers.items() if name != NAME}
    _write(location.file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return True


def _servers(location: Location, text: str) -> dict[str, object]:
    servers = _document(location, text).get(location.table, {})
    if not isinstance(servers, dict):
        raise HostConfigurationError(f"{location.file}: {location.table} is not a table of servers")
    return servers


def _document(location: Location, text: str) -> dict[str, object]:
    if not text.strip():
        return {}
    try:
        document = tomllib.loads(text) if location.format is Format.TOML else json.loads(text)
    except (ValueError, RecursionError) as invalid:
        kind = location.format.value.upper()
        raise HostConfigurationError(f"{location.file} is not plain {kind}: {invalid}") from None
    if not isinstance(document, dict):
        raise HostConfigurationError(f"{location.file} does not contain an object")
    return document


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as failure:
        raise HostConfigurationError(f"{file} can't be read: {failure}") from None


def _write(file: Path, text: str) -> None:
    """Replace the file atomically, keeping its mode."""
    target = file.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as temporary:
            temporary.write(text)
        Path(temporary.name).chmod(mode)
        os.replace(temporary.name, target)
    except OSError as failure:
        raise HostConfigurationError(f"{file} can't be written: {failure}") from None


def _toml(location: Location, given: Entry) -> str:
    # JSON strings and arrays of strings are valid TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
    return "\n".join([f"[{location.table}.{NAME}]", *lines]) + "\n"


def _without_toml_table(text: str, heading: str) -> str:
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped == heading or stripped.startswith(heading[:-1] + ".")
        if not inside:
            kept.append(line)
    return "".join(kept)
