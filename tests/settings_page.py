"""The tables of docs/settings.md, made from the reference of settings: `python -m tests.settings_page`."""

import re
from collections.abc import Iterable
from pathlib import Path

from certctl_mcp.config.environment import CONFIG_VARIABLE
from certctl_mcp.config.errors import DESTINATIONS
from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.config.reference import CHANNEL_MEANINGS, CONFIG_MEANING, Entry, channel_entries, entries
from certctl_mcp.config.settings import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_PLACE = re.compile(r"<!-- generated: ([a-z]{1,20}) -->\n.*?<!-- end -->", re.DOTALL)

_OF_EVERY_CHANNEL = {*NetworkSettings.model_fields, *CHANNEL_MEANINGS}


def written(page: str) -> str:
    """`page` with up-to-date tables."""
    tables = {"variables": _variables(), "channels": _channels(), "every": _of_every(), "file": _file()}
    return _PLACE.sub(
        lambda place: f"<!-- generated: {place[1]} -->\n\n{tables[place[1]]}\n\n<!-- end -->", page
    )


def _variables() -> str:
    parts = []
    for title, listed in entries():
        rows = [(f"`{entry.variable}`", entry) for entry in listed]
        parts.append(f"### {title}\n\n{_table('variable', rows)}")
    config = f"### Settings file\n\n{_heading('variable')}\n"
    parts.append(config + _row(f"`{CONFIG_VARIABLE}`", "", CONFIG_MEANING.markdown))
    return "\n\n".join(parts)


def _channels() -> str:
    """The variables that only one channel has."""
    rows = [
        (f"`{entry.variable}`", entry)
        for name, kind in KINDS.items()
        for entry in channel_entries(name, kind)
        if entry.variable and entry.key[-1] not in _OF_EVERY_CHANNEL
    ]
    return _table("variable", rows)


def _of_every() -> str:
    """The suffixes of the variables that every channel has."""
    rows = [
        (f"`_{entry.key[-1].upper()}`", entry)
        for entry in channel_entries("Slack", "slack")
        if entry.variable and entry.key[-1] in _OF_EVERY_CHANNEL
    ]
    return _table("ending", rows)


def _file() -> str:
    """The settings of a channel's table that have no variable."""
    rows = []
    for kind in DESTINATIONS:
        name = next((name for name, of in KINDS.items() if of == kind), "Other")
        rows += [
            (f"`{entry.key[-1]}` ({kind})", entry)
            for entry in channel_entries(name, kind)
            if entry.variable is None and entry.key[-1] not in _OF_EVERY_CHANNEL
        ]
    for entry in channel_entries("Slack", "slack"):
        if entry.variable is None and entry.key[-1] in _OF_EVERY_CHANNEL:
            rows.append((f"`{entry.key[-1]}`", entry))
    return _table("key", rows)


def _table(heading: str, rows: Iterable[tuple[str, Entry]]) -> str:
    lines = [_row(name, entry.default, entry.meaning.markdown) for name, entry in rows]
    return "\n".join([_heading(heading), *lines])


def _heading(name: str) -> str:
    return f"| {name} | default | meaning |\n| --- | --- | --- |"


def _row(name: str, default: str, meaning: str) -> str:
    return f"| {name} | {default} | {meaning} |" if default else f"| {name} | | {meaning} |"


def main() -> None:
    PAGE.write_text(written(PAGE.read_text()))


if __name__ == "__main__":
    main()
