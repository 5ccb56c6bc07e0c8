"""This server is added to a host's configuration and removed again; nothing else in the file changes."""

import json
import tomllib
from pathlib import Path

import pytest

from certctl_mcp.cli.hosts.configuration import (
    NAME,
    HostConfigurationError,
    entry,
    install,
    render_entry,
    uninstall,
)
from certctl_mcp.cli.hosts.locations import Format, Host, Location, location

COMMAND = ["/opt/venv/bin/certctl-mcp", "--config", '/etc/certctl "mcp"/settings.toml']
OTHERS = {
    Format.JSON: '{"theme": "dark", "%s": {"other": {"command": "x", "env": {"KEY": "\u00e9"}}}}',
    Format.TOML: '# kept\nmodel = "x"\n\n[%s.other]\ncommand = "x"\n\n[tail]\nvalue = 1\n',
}


@pytest.fixture(params=Host)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return location(request.param, tmp_path / "home", tmp_path / "project")


def servers(place: Location) -> dict[str, object]:
    text = place.file.read_text()
    document = tomllib.loads(text) if place.format is Format.TOML else json.loads(text)
    found: dict[str, object] = document[place.table]
    return found


def test_a_missing_file_is_created_with_the_server(place: Location) -> None:
    given = entry(place, COMMAND)
    assert install(place, given)
    assert servers(place) == {NAME: given}
    assert given["command"] == COMMAND[0]
    assert not install(place, given)
    assert place.file.stat().st_mode & 0o777 == 0o600


def test_other_content_is_kept_and_undoing_restores_the_file(place: Location) -> None:
    place.file.parent.mkdir(parents=True)
    before = OTHERS[place.format] % place.table
    place.file.write_text(before)
    place.file.chmod(0o640)
    given = entry(place, COMMAND)
    assert install(place, given)
    assert servers(place).keys() == {"other", NAME}
    assert place.file.stat().st_mode & 0o777 == 0o640
    assert uninstall(place)
    assert not uninstall(place)
    if place.format is Format.TOML:
        assert place.file.read_text().rstrip("\n") == before.rstrip("\n")
    else:
        assert json.loads(place.file.read_text()) == json.loads(before)
    assert [path.name for path in place.file.parent.iterdir()] == [place.file.name]


@pytest.mark.parametrize("text", ['{"a": 1, // comment\n}', "[1", "\xff", '{"%s": [1]}', "= = ="])
def test_a_file_that_cannot_be_parsed_is_left_alone(place: Location, text: str) -> None:
    place.file.parent.mkdir(parents=True)
    written = (text % place.table if "%s" in text else text).encode("latin-1")
    place.file.write_bytes(written)
    with pytest.raises(HostConfigurationError):
        install(place, entry(place, COMMAND))
    assert place.file.read_bytes() == written


def test_another_server_with_the_same_name_is_not_overwritten(place: Location) -> None:
    install(place, entry(place, COMMAND))
    with pytest.raises(HostConfigurationError, match="another server called"):
        install(place, entry(place, ["/elsewhere/certctl-mcp"]))
    assert servers(place) == {NAME: entry(place, COMMAND)}


def test_the_preview_is_exactly_what_would_be_written(place: Location) -> None:
    given = entry(place, COMMAND)
    install(place, given)
    assert place.file.read_text().strip() == render_entry(place, given).strip()


@pytest.mark.parametrize(
    ("platform", "file"),
    [
        ("linux", ".config/Claude/claude_desktop_config.json"),
        ("darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
    ],
)
def test_each_operating_system_has_its_own_location(
    platform: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APPDATA", raising=False)
    assert location(Host.CLAUDE_DESKTOP, tmp_path, tmp_path, platform).file == tmp_path / file
