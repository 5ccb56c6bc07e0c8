"""The settings reference is complete, and the documentation is generated from it."""

from pathlib import Path

import pytest

from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.reference import undocumented
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.sources import MASKED, EffectiveSetting, Source, effective_settings
from tests import settings_page


def listed(
    environ: dict[str, str], file: Path | None = None, **options: object
) -> dict[str, EffectiveSetting]:
    settings = load_settings(file, environ, **options)
    return {setting.key: setting for setting in effective_settings(settings)}


def test_every_setting_is_documented() -> None:
    assert undocumented() == set()


def test_every_variable_is_listed() -> None:
    assert {setting.variable for setting in listed({}).values()} == set(VARIABLES)


def test_the_documentation_is_up_to_date() -> None:
    page = settings_page.PAGE.read_text()
    assert page == settings_page.written(page), "run python -m tests.settings_page"
    for variable in VARIABLES:
        ending = "_" + variable.split("_", 2)[-1]
        assert f"| `{variable}` |" in page or f"| `{ending}` |" in page, variable


def test_each_setting_shows_its_source(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'max_attempts = 7\nlog_level = "error"\n[channels.Ops]\nkind = "plugin"\nnotifier = "x"\n'
    )
    environ = {"CERTCTL_LOG_LEVEL": "debug", "CERTCTL_SLACK_PROXY": ""}
    found = listed(environ, file, read_only=True)
    sources = {key: setting.source for key, setting in found.items() if setting.source is not Source.DEFAULT}
    assert sources == {
        "max_attempts": Source.SETTINGS_FILE,
        "log_level": Source.ENVIRONMENT,
        "read_only": Source.COMMAND_LINE,
        "channels.Ops.notifier": Source.SETTINGS_FILE,
    }
    assert found["log_level"].value == "debug"
    assert found["max_attempts"].value == 7


def test_the_source_of_a_secret_from_its_own_file_is_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[channels.Slack]\nwebhook_url = "https://hooks.slack.com/services/T1/B1/s3cr3t"\n')
    settings = load_settings(file, {})
    settings.origin.file["channels"] = {"Slack": {"webhook_url_file": "/run/secrets/slack"}}
    found = {setting.key: setting.source for setting in effective_settings(settings)}
    assert found["channels.Slack.webhook_url"] is Source.FILE


def test_the_source_of_a_proxy_from_the_usual_variables_is_the_environment() -> None:
    found = listed(
        {"CERTCTL_TEAMS_WEBHOOK_URL": "https://x.example/y", "HTTPS_PROXY": "http://u:s3cr3t@proxy:1"}
    )
    proxy = found["channels.Teams.proxy"]
    assert (proxy.value, proxy.source) == (f"http://u:{MASKED}@proxy:1", Source.ENVIRONMENT)


@pytest.mark.parametrize(
    ("variable", "written", "key", "shown"),
    [
        ("CERTCTL_DATABASE_URL", "postgresql://ada:s3cr3t@db/x?password=s3cr3t", "database_url", f"postgresql://ada:{MASKED}@db/x?{MASKED}"),
        ("CERTCTL_DATABASE_URL", "sqlite:////var/x.db", "database_url", "sqlite:////var/x.db"),
        ("CERTCTL_API_KEYS_NAMED", "ops:s3cr3t-s3cr3t-s3cr3t", "http.api_keys_named", MASKED),
        ("CERTCTL_SLACK_WEBHOOK_URL", "https://hooks.slack.com/s3cr3t", "channels.Slack.webhook_url", f"https://hooks.slack.com/{MASKED}"),
        ("CERTCTL_WEBHOOK_URL", "https://ada:s3cr3t@x.example:8443/", "channels.Webhook.url", f"https://x.example:8443/{MASKED}"),
        ("CERTCTL_PAGERDUTY_ROUTING_KEY", "s3cr3t", "channels.PagerDuty.routing_key", MASKED),
        ("CERTCTL_NOTIFICATION_OUTAGE_HOLD", "86400", "outage_hold", "1d"),
        ("CERTCTL_MCP_TOOLS", "send", "tools", ["send_notification", "send_test_notification"]),
    ],
)  # fmt: skip
def test_values_are_shown_as_written_and_secrets_are_masked(
    variable: str, written: str, key: str, shown: object
) -> None:
    found = listed({variable: written})
    assert found[key].value == shown
    assert "s3cr3t" not in "".join(setting.model_dump_json() for setting in found.values())


@pytest.mark.parametrize("rate", ["1/s", "120/m", "30/m", "10/h", "unlimited"])
def test_a_formatted_rate_parses_to_the_same_value(rate: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"

    def shown(written: object) -> object:
        file.write_text(f'[channels.Slack]\nwebhook_url = "https://x.example/"\nrate = "{written}"\n')
        return listed({}, file)["channels.Slack.rate"].value

    assert shown(shown(rate)) == shown(rate)
