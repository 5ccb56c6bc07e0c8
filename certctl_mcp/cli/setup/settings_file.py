"""The settings file that `init` writes: a few settings with values for production, each with a comment."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from certctl_mcp.config.errors import Key, SettingsError
from certctl_mcp.config.reference import SECTIONS, channel_entries, plain
from certctl_mcp.config.settings import KINDS, load_settings
from certctl_mcp.config.warnings import value_warnings

ChannelTable = Mapping[str, str]
"""The settings of a channel as they are written, by their keys in the channel's table."""

_HEADER = """\
# Settings of certctl-mcp, written by `certctl-mcp init`. An environment variable overrides the same
# setting here. `certctl-mcp config` lists what else can be set, and `certctl-mcp doctor` checks it all.
# It holds secrets: keep it readable by its owner only.
"""

_PRODUCTION: Mapping[Key, str] = {
    ("outage_hold",): "24h",
    ("dead_letters", "window"): "1h",
    ("retention", "sent"): "90d",
    ("retention", "read"): "90d",
    ("retention", "dead"): "365d",
    ("retention", "audit"): "400d",
}


class SettingsFileError(Exception):
    """The file can't be written; nothing was changed. The message says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the operator chose."""

    database_url: str
    channels: Mapping[str, ChannelTable]
    alert: str
    """The channel of alerts about dead letters."""
    alert_recipient: str = ""


def settings_text(answers: Answers) -> str:
    """The file for these answers, in TOML."""
    chosen: dict[Key, str] = {
        ("database_url",): answers.database_url,
        ("dead_letters", "alert"): answers.alert,
        ("dead_letters", "recipient"): answers.alert_recipient,
        **_PRODUCTION,
    }
    parts = [_HEADER]
    tables: dict[str, list[str]] = {}
    for section in SECTIONS:
        for key, meaning in section.settings.items():
            if value := chosen.get(key):
                lines = _setting(key[-1], value, plain(meaning.markdown))
                tables.setdefault(key[0] if len(key) > 1 else "", []).extend(lines)
    for table, lines in tables.items():
        parts.append("\n".join([*([f"[{table}]"] if table else []), *lines, ""]))
    parts += [channel_text(name, table) for name, table in answers.channels.items()]
    return "\n".join(parts)


def channel_text(name: str, table: ChannelTable) -> str:
    """The table of one of certctl's channels."""
    lines = [f"[channels.{name}]"]
    for entry in channel_entries(name, KINDS[name]):
        if (value := table.get(entry.key[-1])) is not None:
            lines += _setting(entry.key[-1], value, plain(entry.meaning.markdown))
    return "\n".join([*lines, ""])


def check(text: str) -> None:
    """Raises: SettingsError: these settings can't be used, or would cause a warning when a process starts."""
    with TemporaryDirectory(prefix="certctl-mcp-") as directory:
        file = Path(directory) / "settings.toml"
        _create(file, text)
        try:
            problems = value_warnings(load_settings(file, {}))
        except SettingsError as error:
            problems = tuple(problem.removeprefix(f"{file}: ") for problem in error.problems)
    if problems:
        raise SettingsError(problems)


def write(file: Path, text: str, *, replace: bool) -> None:
    """Write the file, readable only by its owner. Missing directories are created.

    Raises:
        SettingsFileError: it exists and `replace` is false, or it can't be written.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not replace:
            _create(file, text)
            return
        # So the file is never half written, and never readable by others.
        with TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as directory:
            _create(Path(directory) / file.name, text)
            os.replace(Path(directory) / file.name, file)
    except FileExistsError:
        raise SettingsFileError(f"{file} exists and was not changed; --force replaces it") from None
    except OSError as error:
        raise SettingsFileError(f"{file} can't be written: {error.strerror}") from None


def _create(file: Path, text: str) -> None:
    with open(file, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as created:
        created.write(text)


def _setting(key: str, value: str, meaning: str) -> list[str]:
    """A comment and an assignment. JSON strings and lists of strings are valid TOML."""
    written = value if key == "port" and value.isdecimal() else json.dumps(value, ensure_ascii=False)
    return [f"# {meaning}", f"{key} = {f'[{written}]' if key == 'secrets' else written}"]
