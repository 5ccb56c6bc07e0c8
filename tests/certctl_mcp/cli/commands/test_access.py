"""What commands may do to the database: read-only commands neither create nor migrate it."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from storage.schema.migrations import REVISIONS
from tests.certctl_mcp.cli.conftest import CommandLine

READING = (
    ["list"],
    ["list", "--json"],
    ["show", "notif-1"],
    ["summary"],
    ["requeue", "--status", "dead", "--dry-run"],
)
READING_ON = (["diagnose"], ["report"], ["audit"], ["watch"])
"""Commands that read too, but whose output varies or never ends."""
CHANGING = (
    ["requeue", "notif-1"],
    ["requeue", "--status", "dead", "--yes"],
    ["read", "notif-1"],
    ["purge", "--until", "1d", "--yes"],
)


@pytest.mark.parametrize("arguments", [*READING, *READING_ON, *CHANGING])
def test_a_mistyped_database_is_not_mistaken_for_an_empty_queue(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    mistyped = command_line.database.parent / "data" / "notification.db"
    monkeypatch.setenv("CERTCTL_DATABASE_URL", f"sqlite:///{mistyped}")
    code, out, err = command_line(*arguments)
    assert (code, out) == (3, "")
    assert err == f"certctl-mcp: no queue at {mistyped} (from CERTCTL_DATABASE_URL); nothing was created\n"
    assert not mistyped.parent.exists()


@pytest.mark.postgresql
def test_a_database_without_our_tables_is_refused_and_not_changed(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    monkeypatch.setenv("CERTCTL_DATABASE_URL", empty_database)
    for arguments in (["list"], ["summary"]):
        code, out, err = command_line(*arguments)
        assert (code, out) == (3, "")
        assert re.fullmatch(
            r"certctl-mcp: no queue at postgresql://\S+ \(from CERTCTL_DATABASE_URL\); nothing was created\n",
            err,
        )


def test_the_error_names_the_source_of_the_database_url(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CERTCTL_DATABASE_URL")
    file = tmp_path / "settings.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path}/other.db"\n')
    assert "other.db (from the settings file)" in command_line("list", "--config", str(file)).err
    url = tmp_path / "url"
    url.write_text(f"sqlite:///{tmp_path}/third.db")
    monkeypatch.setenv("CERTCTL_DATABASE_URL_FILE", str(url))
    assert "third.db (from CERTCTL_DATABASE_URL_FILE)" in command_line("list").err
    monkeypatch.delenv("CERTCTL_DATABASE_URL_FILE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert "(the default; CERTCTL_DATABASE_URL names another)" in command_line("list").err


def test_an_empty_file_is_refused_too(command_line: CommandLine) -> None:
    command_line.database.touch()
    assert command_line("list").code == 3
    assert command_line.database.read_bytes() == b""


def test_channels_can_be_listed_before_the_queue_exists(command_line: CommandLine) -> None:
    code, out, err = command_line("channels")
    assert code == 3
    assert "nothing attempted in the last 24 hours" in out
    assert err.startswith(f"certctl-mcp: no queue at {command_line.database} (from CERTCTL_DATABASE_URL)")
    assert not command_line.database.exists()


def test_the_output_names_the_database(command_line: CommandLine) -> None:
    command_line("migrate")
    assert f"Database  {command_line.database}\n" in command_line("summary").out
    for command in ("list", "summary"):
        assert json.loads(command_line(command, "--json").out)["database"] == str(command_line.database)


def dump(database: Path) -> list[str]:
    """The schema and every row."""
    connection = sqlite3.connect(database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.fixture
def foreign(command_line: CommandLine) -> CommandLine:
    """A database with certctl's table, which this program has never migrated."""
    with sqlite3.connect(command_line.database) as connection:
        connection.execute(
            "CREATE TABLE notification_events (id TEXT PRIMARY KEY, type TEXT, certificate_id TEXT,"
            " channel TEXT, recipient TEXT, message TEXT, status TEXT, sent_at TEXT, error TEXT,"
            " retry_count INTEGER NOT NULL DEFAULT 0, next_retry_at TEXT, last_error TEXT, created_at TEXT)"
        )
        connection.execute(
            "INSERT INTO notification_events VALUES ('notif-1', 'Revocation', NULL, 'Webhook', 'ops', 'it is"
            " revoked', 'dead', NULL, NULL, 4, NULL, 'HTTP 410', '2026-01-01 12:00:00.000000')"
        )
    connection.close()
    return command_line


def test_reading_does_not_change_another_programs_database(foreign: CommandLine) -> None:
    before = dump(foreign.database)
    for arguments in READING:
        ended = foreign(*arguments)
        assert (ended.code, ended.err) == (0, "")
    assert "it is revoked" in foreign("show", "notif-1").out
    assert dump(foreign.database) == before


def test_a_foreign_queue_cannot_be_changed_until_it_is_explicitly_migrated(foreign: CommandLine) -> None:
    for arguments in (
        ["requeue", "notif-1", "--no-migrate"],
        ["--no-migrate", "requeue", "notif-1"],
        ["requeue", "notif-1"],
        ["--no-migrate", "requeue", "--status", "dead", "--yes"],
    ):
        ended = foreign(*arguments)
        assert ended.code == 3
        assert "can only be read until certctl-mcp migrate adds them" in ended.err
    assert foreign("--no-migrate", "list").code == 0
    assert REVISIONS[-1] in foreign("migrate").out
    assert foreign("requeue", "notif-1").out == "1 requeued\n"
