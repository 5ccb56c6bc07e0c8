"""The program's own options, and the behaviour that all commands share."""

import sqlite3
from pathlib import Path

import pytest

from certctl_mcp import __version__
from storage.schema.migrations import REVISIONS
from tests.certctl_mcp.cli.conftest import CommandLine


def test_version_is_printed(command_line: CommandLine) -> None:
    assert command_line("--version") == (0, f"certctl-mcp {__version__}\n", "")


def test_help_names_every_command_and_exit_code(command_line: CommandLine) -> None:
    ended = command_line("--help")
    assert ended.code == 0
    for expected in ("worker", "send", "list", "show", "requeue", "read", "summary", "channels", "migrate"):
        assert f"\n  {expected} " in ended.out
    for code in (0, 1, 2, 3, 130):
        assert f" {code}  " in ended.out


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["lst"], "Did you mean 'list'"),
        (["list", "--stauts", "dead"], "--status"),
        (["list", "--limit", "many"], "--limit"),
        (["list", "--limit", "501"], "must be less than or equal to 500"),
        (["install", "emacs"], "'host': 'emacs' is not one of 'claude-desktop', "),
        (["doctor", "--recipient", "ops@example.com"], "--recipient goes with --send"),
        (["list", "--status", "gone"], "'gone' is not one of pending, sent, failed, dead, read"),
        (
            ["list", "--since", "last week"],
            "--since: 'last week' is not a point in time; give ISO 8601",
        ),
        (["list", "--since", "1h", "--until", "2h"], "is not before --until"),
        (["list", "--status", "dead,gone"], "'gone' is not one of"),
        (["list", "--text", ""], "--text"),
        (["show"], "ID"),
        (["send", "text", "--channel", "Webhook"], "--type"),
        (["send", "text", "--channel", "Webhok", "--type", "X"], "did you mean 'Webhook'?"),
        (["send", "", "--channel", "Webhook", "--type", "X"], "--message"),
        (["requeue"], "by their ids or select them with a filter such as --status dead;"),
        (["requeue", "notif-1", "--channel", "Webhook"], "not both"),
        (
            ["requeue", "--status", "pending"],
            "requeue does not apply to pending; allowed: dead, failed, sent",
        ),
        (
            ["--tools", "triag"],
            "--tools='triag': there is no group of tools and no tool 'triag'",
        ),
        (["--tools"], "'--tools' requires an argument"),
        (
            ["--read-only", "list"],
            "--read-only, --tools and --exclude are for serving, not for commands",
        ),
    ],
)
def test_a_wrong_argument_is_reported_on_one_line(
    command_line: CommandLine, arguments: list[str], wrong: str
) -> None:
    code, out, err = command_line(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("certctl-mcp: ")
    assert wrong in err
    assert err.count("\n") == 1


def test_the_error_for_a_wrong_argument_refers_to_the_commands_help(command_line: CommandLine) -> None:
    assert command_line("list", "--stauts", "dead").err.endswith("see certctl-mcp list --help\n")
    assert command_line("lst").err.endswith("see certctl-mcp --help\n")


def test_the_error_for_a_wrong_setting_names_it(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTCTL_NOTIFICATION_RETRY_INTERVAL", "soon")
    code, _, err = command_line("list")
    assert code == 2
    assert err.startswith("certctl-mcp: CERTCTL_NOTIFICATION_RETRY_INTERVAL='soon': must be a duration")
    assert err.count("\n") == 1
    assert not command_line.database.exists()


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_config_option_can_be_before_or_after_the_command(
    command_line: CommandLine, tmp_path: Path, place: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[channels.Night]\nkind = "slack"\nwebhook_url = "https://hooks.slack.com/services/x"\n')
    option = ["--config", str(file)]
    arguments = [*option, "channels"] if place == "before" else ["channels", *option]
    assert "Night" in command_line(*arguments).out


@pytest.mark.parametrize("url", ["mysql://db/queue", "sqlite:///:memory:", "postgresql://host:port/queue"])
@pytest.mark.parametrize("command", [["summary"], ["worker"], ["serve", "--http", "--port", "0"]])
def test_a_database_url_that_can_never_work_is_a_wrong_setting(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, command: list[str], url: str
) -> None:
    monkeypatch.setenv("CERTCTL_DATABASE_URL", url)
    code, out, err = command_line(*command)
    assert (code, out) == (2, "")
    assert "; use " in err


def test_an_unusable_database_has_its_own_exit_code(command_line: CommandLine) -> None:
    command_line.database.write_text("this is no database, whatever its name says" * 50)
    code, out, err = command_line("summary")
    assert (code, out) == (3, "")
    assert "is not a SQLite database" in err
    assert err.count("\n") == 1


def test_migrate_prints_what_it_added_and_a_dry_run_what_it_would_add(command_line: CommandLine) -> None:
    dry = command_line("migrate", "--dry-run")
    assert not command_line.database.exists()
    first, second = command_line("migrate"), command_line("migrate")
    headline = f"{command_line.database}: would go from no revision to revision {REVISIONS[-1]}\n"
    assert dry.out.startswith(headline)
    added = [line for line in dry.out.splitlines() if line.startswith("  would add ")]
    assert "  would add table notification_events" in added
    assert len(set(added)) == len(added)
    assert first == (0, dry.out.replace("would go ", "").replace("would add", "added"), "")
    assert second == (0, f"{command_line.database} is up to date: revision {REVISIONS[-1]}\n", "")
    assert command_line("migrate", "--dry-run") == second


def test_migrate_refuses_a_newer_schema(command_line: CommandLine) -> None:
    command_line("migrate")
    with sqlite3.connect(command_line.database) as connection:
        connection.execute("UPDATE certctl_mcp_version SET version_num = '9999'")
    connection.close()
    code, _, err = command_line("migrate")
    assert code == 4
    assert "upgrade certctl-mcp" in err
