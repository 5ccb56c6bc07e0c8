"""init, config and doctor: from nothing to verified settings."""

import json
import stat
import tomllib
from pathlib import Path

import pytest

from certctl_mcp.cli.setup.questions import channel_table
from certctl_mcp.cli.setup.settings_file import channel_text, check
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.warnings import configuration_warnings
from storage.platform import owner_of
from tests.certctl_mcp.cli.conftest import CommandLine

SLACK = "https://hooks.slack.com/services/T1/B1/s3cr3t"


@pytest.fixture
def channels(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """With variables for Email and Slack."""
    monkeypatch.delenv("CERTCTL_WEBHOOK_URL")
    monkeypatch.setenv("CERTCTL_SLACK_WEBHOOK_URL", SLACK)
    monkeypatch.setenv("CERTCTL_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("CERTCTL_SMTP_PORT", "9")
    monkeypatch.setenv("CERTCTL_SMTP_FROM_ADDRESS", "Certificates <certificates@corp.test>")
    return command_line


def written(channels: CommandLine, file: Path, *options: str) -> str:
    code, out, err = channels("init", str(file), "--channels", "email,Slack", *options)
    assert (code, err) == (0, "")
    return out


def test_config_lists_each_setting_and_its_source(command_line: CommandLine) -> None:
    code, out, _ = command_line("config")
    assert code == 0
    assert f"  CERTCTL_DATABASE_URL = sqlite:///{command_line.database}  (environment)\n" in out
    assert "  CERTCTL_NOTIFICATION_MAX_ATTEMPTS = 5  (default)\n      failed attempts after" in out
    assert "  CERTCTL_WEBHOOK_URL = http://127.0.0.1:9/********  (environment)\n" in out
    assert "\nChannel Slack (not configured)\n  CERTCTL_SLACK_WEBHOOK_URL  (default: required)\n" in out
    changed = command_line("config", "--changed", "-o", "ndjson").out.splitlines()
    assert [json.loads(line)["key"] for line in changed] == ["database_url", "channels.Webhook.url"]
    assert "unreachable" not in out


def test_config_names_the_file(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("max_attempts = 2\n")
    document = json.loads(command_line("config", "--json", "--config", str(file)).out)
    assert document["settings_file"] == str(file)
    (found,) = (setting for setting in document["settings"] if setting["key"] == "max_attempts")
    assert (found["value"], found["source"]) == (2, "settings file")
    file.write_text("max_attemps = 2\n")
    assert "did you mean max_attempts?" in command_line("config", "--config", str(file)).err


def test_help_says_where_the_variables_are_documented(command_line: CommandLine) -> None:
    assert "`certctl-mcp config` lists them all; docs/settings.md" in command_line("--help").out


def test_init_writes_a_file_that_loads_without_a_warning(channels: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "new" / "settings.toml"
    out = written(channels, file, "--alert-recipient", "ops@corp.test")
    assert out.startswith(f"Wrote {file}, mode 600. Check it: certctl-mcp doctor --config {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = load_settings(file, {})
    assert configuration_warnings(settings, {}, file) == ()
    assert [channel.name for channel in settings.channels] == ["Email", "Slack"]
    assert settings.database_url.get_secret_value() == f"sqlite:///{channels.database}"
    document = tomllib.loads(file.read_text())
    assert document["outage_hold"] == "24h"
    assert document["dead_letters"] == {"alert": "Email", "recipient": "ops@corp.test", "window": "1h"}
    assert document["retention"] == {"sent": "90d", "read": "90d", "dead": "365d", "audit": "400d"}
    commented = [line for line in file.read_text().splitlines() if line.startswith("# ")]
    assert (
        "# how long a channel is held during an outage, such as 24h, at most 7d; without it, never"
        in commented
    )


def test_init_prints_how_to_start_the_program_and_no_secret(channels: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    out = written(channels, file, "--alerts", "Slack")
    assert SLACK not in out
    hosts = out.split("claude-desktop, claude-code, cursor, gemini-cli:\n")[1].split("\n\n")[0]
    (server,) = json.loads(hosts)["mcpServers"].values()
    assert server["args"] == ["--config", str(file)]
    assert f'args = ["--config", "{file}"]' in out
    assert (
        "\nExecStart=/opt/certctl-mcp/bin/certctl-mcp worker --config /etc/certctl-mcp/settings.toml\n" in out
    )
    assert f"#   install -D -m 600 -o certctl-mcp {file} /etc/certctl-mcp/settings.toml\n" in out
    assert f'    command: ["worker", "--config", "{file}"]\n' in out
    assert f'      - "{tmp_path}:{tmp_path}"\n' in out


def test_init_prints_a_unit_that_needs_no_file_but_the_settings(
    channels: CommandLine, tmp_path: Path
) -> None:
    out = written(channels, tmp_path / "settings.toml", "--alerts", "Slack")
    unit = out.split("systemd: ")[1].split("Docker Compose: ")[0]
    assert not [line for line in unit.splitlines() if line.startswith(("LoadCredential=", "Environment="))]
    assert "\n#LoadCredential=" in unit
    assert "install -D -m 600 slack-webhook-url" not in unit


def test_commands_that_init_prints_can_be_pasted_whatever_the_path(
    channels: CommandLine, tmp_path: Path
) -> None:
    directory = tmp_path / "on call"
    directory.mkdir()
    out = written(channels, directory / "settings.toml", "--alerts", "Slack")
    assert f"install HOST --config '{directory}/settings.toml'`" in out
    assert f"-o certctl-mcp '{directory}/settings.toml' /etc" in out


def test_init_replaces_no_file_without_force(channels: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("mine")
    refused = channels("init", str(file), "--channels", "Slack")
    assert (refused.code, file.read_text()) == (1, "mine")
    assert "--force replaces it" in refused.err
    written(channels, file, "--alerts", "Slack", "--force")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--channels Fax", "--channels: there is no channel 'Fax'; name some of Email, Webhook, "),
        ("", "--channels: no channel is given"),
        ("--channels Teams", "CERTCTL_TEAMS_WEBHOOK_URL is not set, and the channel Teams needs it"),
        ("--channels Slack --alerts Email", "--alerts='Email' is not among the channels Slack"),
        ("--channels Email", "--alert-recipient is missing"),
        ("--channels Slack --database sqlite:///q.db", "the database path is relative to "),
        ("--channels PagerDuty", "channels.PagerDuty.routing_key is still a placeholder"),
        ("--channels Webhook", "channels.Webhook.url (value not shown): must be a URL"),
    ],
)
def test_init_does_not_write_invalid_settings(
    channels: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, why: str
) -> None:
    monkeypatch.setenv("CERTCTL_PAGERDUTY_ROUTING_KEY", "your-routing-key")
    monkeypatch.setenv("CERTCTL_WEBHOOK_URL", "corp.test")
    code, out, err = channels("init", str(tmp_path / "settings.toml"), *options.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"certctl-mcp: {why}")
    assert list(tmp_path.iterdir()) == []


def test_init_asks_for_settings_that_no_variable_has() -> None:
    answers = {"the SMTP relay": "mail.corp.test", "the login": "ada", "its password": "s3cr3t"}
    asked: list[tuple[str, bool]] = []

    def ask(question: str, secret: bool, default: str | None) -> str:
        asked.append((question, secret))
        return next((answer for words, answer in answers.items() if words in question), default or "")

    table = channel_table("Email", {"CERTCTL_SMTP_FROM_ADDRESS": "b@corp.test"}, ask)
    assert table == {
        "host": "mail.corp.test",
        "port": "587",
        "from_address": "b@corp.test",
        "username": "ada",
        "password": "s3cr3t",
    }
    assert [secret for _, secret in asked] == [False, False, False, True]
    check(channel_text("Email", table))


def test_doctor_exits_with_1_if_a_check_fails(command_line: CommandLine) -> None:
    code, out, err = command_line("doctor")
    assert (code, err) == (1, "")
    assert "fail  channel Webhook: the connection to 127.0.0.1:9 failed: Connection refused\n      -> " in out
    assert (
        f"warn  database: there is no database yet at {command_line.database} (from CERTCTL_DATABASE_URL)\n"
        in out
    )
    assert out.endswith(" failed\n")
    assert not command_line.database.exists()


def test_doctor_exits_with_0_if_no_check_fails(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CERTCTL_WEBHOOK_URL")
    command_line("migrate")
    code, out, _ = command_line("doctor", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["failed"] == 0
    (found,) = (one["found"] for one in document["checks"] if one["name"] == "database")
    assert f"owner {owner_of(command_line.database)}, mode 600" in found


def test_doctor_names_the_wrong_setting_and_continues(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTCTL_NOTIFICATION_MAX_ATTEMPTS", "many")
    monkeypatch.setenv("CERTCTL_SLACK_WEBHOOK", "x")
    code, out, _ = command_line("doctor")
    assert code == 1
    assert "fail  settings: CERTCTL_NOTIFICATION_MAX_ATTEMPTS='many': must be a whole number" in out
    assert "warn  settings: the variable CERTCTL_SLACK_WEBHOOK is not used; did you mean" in out


def test_doctor_sends_only_over_the_requested_channels(command_line: CommandLine) -> None:
    command_line("migrate")
    rows = [
        json.loads(line)
        for line in command_line("doctor", "--send", "Webhook", "-o", "ndjson").out.splitlines()
    ]
    assert rows[-1]["name"] == "test of Webhook"
    assert rows[-1]["found"].startswith("not delivered: ")
    assert len(json.loads(command_line("audit", "--json").out)["data"]) == 1
    unknown = command_line("doctor", "--send", "Fax")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no channel named 'Fax' is configured" in unknown.err
