from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.config.destinations import (
    Channel,
    EmailDestination,
    OpsGenieDestination,
    PagerDutyDestination,
    SlackDestination,
    TeamsDestination,
    WebhookDestination,
)
from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.config.warnings import configuration_warnings
from certctl_mcp.delivery.retry_policy import RetryPolicy

SECRET = "correct-horse-battery"

SMTP = {"CERTCTL_SMTP_HOST": "mail.example.com", "CERTCTL_SMTP_FROM_ADDRESS": "alerts@example.com"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def from_file(file: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    file.write_text(text)
    return load_settings(file, environ or {})


def problems(config: Path | None = None, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ or {})
    return caught.value.problems


def problems_in(file: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    file.write_text(text)
    return tuple(line.removeprefix(f"{file}: ") for line in problems(file, environ))


def only_channel(settings: Settings) -> Channel:
    (channel,) = settings.channels
    return channel


def test_the_defaults_are_as_documented() -> None:
    settings = load_settings(None, {})
    assert settings.retry_interval == timedelta(minutes=2)
    assert RetryPolicy.of(settings) == RetryPolicy(5, timedelta(minutes=1), timedelta(hours=1), 0.0)
    assert settings.missing_notifier == "sent"
    assert settings.send_timeout == timedelta(seconds=30)
    assert settings.lease == timedelta(seconds=45)
    assert (settings.concurrency, settings.channel_concurrency) == (50, 10)
    assert settings.shutdown_grace == timedelta(seconds=10)
    assert settings.log_level == "info"
    assert settings.channels == ()


def test_the_default_database_is_a_file_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    url = load_settings(None, {}).database_url.get_secret_value()
    assert url == "sqlite:////data/certctl-mcp/notifications.db"


@pytest.mark.parametrize(
    ("variable", "written", "field", "value"),
    [
        ("CERTCTL_NOTIFICATION_RETRY_INTERVAL", "90s", "retry_interval", timedelta(seconds=90)),
        ("CERTCTL_NOTIFICATION_RETRY_INTERVAL", "87600h", "retry_interval", timedelta(days=365)),
        ("CERTCTL_NOTIFICATION_DELIVER", "rescue", "deliver", DeliveryMode.RESCUE),
        ("CERTCTL_NOTIFICATION_DELIVER", " Watch", "deliver", DeliveryMode.WATCH),
        ("CERTCTL_NOTIFICATION_DELIVER", "true", "deliver", DeliveryMode.DELIVER),
        ("CERTCTL_NOTIFICATION_DELIVER", "false", "deliver", DeliveryMode.WATCH),
        ("CERTCTL_NOTIFICATION_RESCUE_GRACE", "10m", "rescue_grace", timedelta(minutes=10)),
        ("CERTCTL_NOTIFICATION_MAX_ATTEMPTS", "3", "max_attempts", 3),
        ("CERTCTL_NOTIFICATION_BACKOFF_BASE", "500ms", "backoff_base", timedelta(milliseconds=500)),
        ("CERTCTL_NOTIFICATION_BACKOFF_CAP", "1h30m", "backoff_cap", timedelta(minutes=90)),
        ("CERTCTL_NOTIFICATION_RETRY_JITTER", "0.25", "retry_jitter", 0.25),
        ("CERTCTL_NOTIFICATION_MISSING_NOTIFIER", "dead", "missing_notifier", "dead"),
        ("CERTCTL_NOTIFICATION_SEND_TIMEOUT", "5", "send_timeout", timedelta(seconds=5)),
        ("CERTCTL_NOTIFICATION_LEASE", "2m", "lease", timedelta(minutes=2)),
        ("CERTCTL_NOTIFICATION_CONCURRENCY", "8", "concurrency", 8),
        ("CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY", "2", "channel_concurrency", 2),
        ("CERTCTL_NOTIFICATION_SHUTDOWN_GRACE", "0", "shutdown_grace", timedelta(0)),
        ("CERTCTL_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("CERTCTL_LOG_LEVEL", "warn", "log_level", "warning"),
    ],
)
def test_each_variable_sets_its_own_setting(variable: str, written: str, field: str, value: object) -> None:
    settings = load_settings(None, {variable: written})
    assert getattr(settings, field) == value


def test_the_retry_policy_is_built_from_its_four_settings() -> None:
    settings = load_settings(
        None,
        {
            "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "7",
            "CERTCTL_NOTIFICATION_BACKOFF_BASE": "2s",
            "CERTCTL_NOTIFICATION_BACKOFF_CAP": "8s",
            "CERTCTL_NOTIFICATION_RETRY_JITTER": "1",
        },
    )
    assert RetryPolicy.of(settings) == RetryPolicy(7, timedelta(seconds=2), timedelta(seconds=8), 1.0)


def test_the_lease_is_extended_automatically_for_a_longer_send_timeout() -> None:
    settings = load_settings(None, {"CERTCTL_NOTIFICATION_SEND_TIMEOUT": "2m"})
    assert settings.lease == timedelta(minutes=2, seconds=15)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:////var/lib/n.db", "sqlite:////var/lib/n.db"),
        ("sqlite:///n.db", "sqlite:///n.db"),
        ("sqlite:///~/n.db", "sqlite:////home/ada/n.db"),
        ("sqlite+aiosqlite:///~/n.db", "sqlite+aiosqlite:////home/ada/n.db"),
        ("postgres://u:p@db/certctl", "postgres://u:p@db/certctl"),
    ],
)
def test_a_database_url_is_unchanged_except_for_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": written})
    assert settings.database_url.get_secret_value() == meant


def test_each_group_of_variables_configures_its_channel() -> None:
    environ = SMTP | {
        "CERTCTL_SMTP_USERNAME": "ada",
        "CERTCTL_SMTP_PASSWORD": SECRET,
        "CERTCTL_WEBHOOK_URL": "https://hooks.example.com/a",
        "CERTCTL_WEBHOOK_SECRET": "whsec_c2VjcmV0",
        "CERTCTL_WEBHOOK_FORMAT": "certctl",
        "CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
        "CERTCTL_SLACK_CHANNEL": "#certs",
        "CERTCTL_SLACK_USERNAME": "certctl",
        "CERTCTL_TEAMS_WEBHOOK_URL": "https://teams.example.com/a",
        "CERTCTL_PAGERDUTY_ROUTING_KEY": "R0",
        "CERTCTL_PAGERDUTY_SEVERITY": "critical",
        "CERTCTL_PAGERDUTY_API_URL": "https://events.eu.pagerduty.com/v2/enqueue",
        "CERTCTL_OPSGENIE_API_KEY": "K0",
        "CERTCTL_OPSGENIE_PRIORITY": "P1",
        "CERTCTL_OPSGENIE_API_URL": "https://api.eu.opsgenie.com/v2/alerts",
    }
    settings = load_settings(None, environ)
    destinations = {channel.name: channel.destination for channel in settings.channels}
    assert destinations == {
        "Email": EmailDestination.model_validate(
            {
                "host": "mail.example.com",
                "username": "ada",
                "password": SECRET,
                "from_address": "alerts@example.com",
            }
        ),
        "Webhook": WebhookDestination.model_validate(
            {"url": "https://hooks.example.com/a", "secrets": ["whsec_c2VjcmV0"], "format": "certctl"}
        ),
        "Slack": SlackDestination.model_validate(
            {
                "webhook_url": "https://hooks.slack.com/services/T/B/x",
                "channel": "#certs",
                "username": "certctl",
            }
        ),
        "Teams": TeamsDestination.model_validate({"webhook_url": "https://teams.example.com/a"}),
        "PagerDuty": PagerDutyDestination.model_validate(
            {
                "routing_key": "R0",
                "severity": "critical",
                "api_url": "https://events.eu.pagerduty.com/v2/enqueue",
            }
        ),
        "OpsGenie": OpsGenieDestination.model_validate(
            {"api_key": "K0", "priority": "P1", "api_url": "https://api.eu.opsgenie.com/v2/alerts"}
        ),
    }


@pytest.mark.parametrize(
    ("environ", "security"),
    [
        ({}, "starttls"),
        ({"CERTCTL_SMTP_USE_TLS": "true"}, "starttls"),
        ({"CERTCTL_SMTP_USE_TLS": "true", "CERTCTL_SMTP_PORT": "465"}, "tls"),
        ({"CERTCTL_SMTP_PORT": "465"}, "tls"),
        ({"CERTCTL_SMTP_PORT": "2525"}, "starttls"),
        ({"CERTCTL_SMTP_USE_TLS": "0"}, "none"),
        ({"CERTCTL_SMTP_USE_TLS": "tls"}, "tls"),
    ],
)
def test_email_uses_the_usual_encryption_of_the_port(environ: dict[str, str], security: str) -> None:
    destination = only_channel(load_settings(None, SMTP | environ)).destination
    assert isinstance(destination, EmailDestination)
    assert destination.security == security


@pytest.mark.parametrize(
    "variable",
    [
        "CERTCTL_SMTP_PORT",
        "CERTCTL_SMTP_USE_TLS",
        "CERTCTL_WEBHOOK_FORMAT",
        "CERTCTL_PAGERDUTY_SEVERITY",
        "CERTCTL_PAGERDUTY_API_URL",
        "CERTCTL_OPSGENIE_PRIORITY",
        "CERTCTL_OPSGENIE_API_URL",
    ],
)
def test_an_optional_variable_alone_configures_no_channel(variable: str) -> None:
    assert load_settings(None, {variable: "anything"}).channels == ()


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_blank_variable_counts_as_unset(variable: str) -> None:
    assert load_settings(None, {variable: " "}) == load_settings(None, {})


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"CERTCTL_SMTP_HOST": "mail.example.com"}, "CERTCTL_SMTP_FROM_ADDRESS"),
        ({"CERTCTL_SMTP_FROM_ADDRESS": "alerts@example.com"}, "CERTCTL_SMTP_HOST"),
        ({"CERTCTL_WEBHOOK_SECRET": SECRET}, "CERTCTL_WEBHOOK_URL"),
        ({"CERTCTL_SLACK_CHANNEL": "#certs"}, "CERTCTL_SLACK_WEBHOOK_URL"),
        ({"CERTCTL_SLACK_USERNAME": "certctl"}, "CERTCTL_SLACK_WEBHOOK_URL"),
    ],
)
def test_the_error_for_an_incomplete_channel_names_the_missing_variable(
    environ: dict[str, str], missing: str
) -> None:
    (problem,) = problems(environ=environ)
    assert problem.startswith(f"{missing} is missing")


@pytest.mark.parametrize("given", ["CERTCTL_SMTP_USERNAME", "CERTCTL_SMTP_PASSWORD"])
def test_the_error_for_an_incomplete_login_names_both_variables(given: str) -> None:
    assert problems(environ=SMTP | {given: SECRET}) == (
        "channel Email: CERTCTL_SMTP_USERNAME and CERTCTL_SMTP_PASSWORD go together: set both or neither",
    )


def test_a_password_over_an_unencrypted_connection_is_refused() -> None:
    environ = {"CERTCTL_SMTP_USERNAME": "u", "CERTCTL_SMTP_PASSWORD": SECRET, "CERTCTL_SMTP_USE_TLS": "no"}
    (problem,) = problems(environ=SMTP | environ)
    assert "CERTCTL_SMTP_USE_TLS must be starttls or tls" in problem
    assert SECRET not in problem


@pytest.mark.parametrize(
    ("variable", "written", "allowed"),
    [
        ("CERTCTL_NOTIFICATION_RETRY_INTERVAL", "999ms", "must be a duration, at least 1s"),
        ("CERTCTL_NOTIFICATION_RETRY_INTERVAL", "often", "must be a duration such as 90s, 2m"),
        ("CERTCTL_NOTIFICATION_MAX_ATTEMPTS", "0", "must be a whole number, at least 1 and at most 100"),
        ("CERTCTL_NOTIFICATION_MAX_ATTEMPTS", "many", "must be a whole number, at least 1 and at most 100"),
        ("CERTCTL_NOTIFICATION_BACKOFF_BASE", "0s", "must be a duration, more than 0s"),
        ("CERTCTL_NOTIFICATION_BACKOFF_CAP", "400d", "must be a duration from 0s to 365d"),
        ("CERTCTL_NOTIFICATION_BACKOFF_CAP", "8d", "must be a duration, more than 0s and at most 7d"),
        ("CERTCTL_NOTIFICATION_LEASE", "61m", "must be at most 1h"),
        ("CERTCTL_NOTIFICATION_SEND_TIMEOUT", "31m", "must be a duration, more than 0s and at most 30m"),
        ("CERTCTL_NOTIFICATION_RETRY_JITTER", "1.5", "must be a number, at least 0 and at most 1"),
        ("CERTCTL_NOTIFICATION_MISSING_NOTIFIER", "drop", "must be 'sent' or 'dead'"),
        ("CERTCTL_NOTIFICATION_SEND_TIMEOUT", "0", "must be a duration, more than 0s"),
        ("CERTCTL_NOTIFICATION_LEASE", "30s", "must be at least 1s longer than the send timeout (30s)"),
        ("CERTCTL_NOTIFICATION_CONCURRENCY", "0", "must be a whole number, at least 1 and at most 1000"),
        ("CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY", "1.5", "must be a whole number, at least 1"),
        ("CERTCTL_NOTIFICATION_SHUTDOWN_GRACE", "-1s", "must be a duration such as"),
        ("CERTCTL_LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_the_error_for_a_wrong_value_is_one_line_with_variable_value_and_allowed_values(
    variable: str, written: str, allowed: str
) -> None:
    (problem,) = problems(environ={variable: written})
    assert problem.startswith(f"{variable}={written!r}: {allowed}")


@pytest.mark.parametrize(
    ("variable", "written", "allowed"),
    [
        ("CERTCTL_SMTP_PORT", "70000", "must be a whole number, at least 1 and at most 65535"),
        ("CERTCTL_SMTP_USE_TLS", "maybe", "must be starttls, tls, none, true or false"),
        ("CERTCTL_WEBHOOK_FORMAT", "json", "must be 'standard' or 'certctl'"),
        ("CERTCTL_PAGERDUTY_SEVERITY", "P1", "must be 'critical', 'error', 'warning' or 'info'"),
        ("CERTCTL_PAGERDUTY_API_URL", "events", "must be a valid URL"),
        ("CERTCTL_OPSGENIE_PRIORITY", "low", "must be 'P1', 'P2', 'P3', 'P4' or 'P5'"),
        ("CERTCTL_OPSGENIE_API_URL", "ftp://a", "URL scheme must be 'http' or 'https'"),
    ],
)
def test_a_wrong_optional_variable_of_a_channel_is_reported_the_same_way(
    variable: str, written: str, allowed: str
) -> None:
    configured = SMTP | {
        "CERTCTL_PAGERDUTY_ROUTING_KEY": "R0",
        "CERTCTL_OPSGENIE_API_KEY": "K0",
        "CERTCTL_WEBHOOK_URL": "https://hooks.example.com/a",
    }
    (problem,) = problems(environ=configured | {variable: written})
    assert problem.startswith(f"{variable}={written!r}: ")
    assert allowed in problem


@pytest.mark.parametrize(
    "variable",
    [
        "CERTCTL_DATABASE_URL",
        "CERTCTL_WEBHOOK_URL",
        "CERTCTL_SLACK_WEBHOOK_URL",
        "CERTCTL_TEAMS_WEBHOOK_URL",
    ],
)
def test_the_error_for_an_invalid_secret_names_it_without_showing_it(variable: str) -> None:
    (problem,) = problems(environ={variable: SECRET})
    assert problem.startswith(f"{variable} (value not shown): must be ")
    assert SECRET not in problem


def test_a_url_that_cannot_be_parsed_is_not_shown_either() -> None:
    (problem,) = problems(environ={"CERTCTL_WEBHOOK_URL": f"https://[{SECRET}/"})
    assert SECRET not in problem


def test_printing_the_settings_shows_no_secret() -> None:
    secrets = {
        variable: f"https://{SECRET}.example.com/"
        for variable, path in VARIABLES.items()
        if path[-1] in ("database_url", "password", "url", "secrets", "webhook_url", "routing_key", "api_key")
    }
    settings = load_settings(None, SMTP | {"CERTCTL_SMTP_USERNAME": "ada"} | secrets)
    assert len(settings.channels) == 6
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_every_problem_is_reported_on_its_own_line() -> None:
    environ = {
        "CERTCTL_LOG_LEVEL": "loud\nand long",
        "CERTCTL_NOTIFICATION_SEND_TIMEOUT": "x" * 500,
        "CERTCTL_SLACK_WEBHOOK_URL": SECRET,
    }
    told = problems(environ=environ)
    assert len(told) == 3
    assert all("\n" not in line and len(line) < 250 for line in told)


def test_the_settings_file_has_the_same_settings(file: Path) -> None:
    settings = from_file(
        file,
        """
        database_url = "sqlite:////var/lib/n.db"
        retry_interval = "5m"
        max_attempts = 3
        backoff_base = 30
        backoff_cap = "30m"
        retry_jitter = 0.5
        missing_notifier = "dead"
        send_timeout = "10s"
        lease = "20s"
        concurrency = 4
        channel_concurrency = 2
        shutdown_grace = "1s"
        log_level = "error"
        """,
    )
    assert settings.database_url.get_secret_value() == "sqlite:////var/lib/n.db"
    assert settings.retry_interval == timedelta(minutes=5)
    assert RetryPolicy.of(settings) == RetryPolicy(3, timedelta(seconds=30), timedelta(minutes=30), 0.5)
    assert settings.missing_notifier == "dead"
    assert (settings.send_timeout, settings.lease) == (timedelta(seconds=10), timedelta(seconds=20))
    assert (settings.concurrency, settings.channel_concurrency) == (4, 2)
    assert settings.shutdown_grace == timedelta(seconds=1)
    assert settings.log_level == "error"


def test_the_settings_file_can_have_several_destinations_of_a_kind(file: Path) -> None:
    settings = from_file(
        file,
        """
        [channels."Ops team"]
        kind = "slack"
        webhook_url = "https://hooks.slack.com/services/a"
        concurrency = 2

        [channels.Audit]
        kind = "slack"
        webhook_url = "https://hooks.slack.com/services/b"

        [channels.Teams]
        webhook_url = "https://teams.example.com/a"

        [channels.SMS]
        kind = "apprise"
        url = "sns://key/secret/region/number"

        [channels.Ticket]
        kind = "plugin"
        notifier = "jira"
        options = { project = "CERT", urgent = true }
        """,
    )
    assert [
        (channel.name, channel.destination.kind, channel.concurrency) for channel in settings.channels
    ] == [
        ("Ops team", "slack", 2),
        ("Audit", "slack", 0),
        ("Teams", "teams", 0),
        ("SMS", "apprise", 0),
        ("Ticket", "plugin", 0),
    ]


def test_the_environment_overrides_the_settings_file(file: Path) -> None:
    text = 'retry_interval = "5m"\nmax_attempts = 3'
    settings = from_file(file, text, {"CERTCTL_NOTIFICATION_RETRY_INTERVAL": "1m"})
    assert settings.retry_interval == timedelta(minutes=1)
    assert settings.max_attempts == 3


def test_a_password_from_the_environment_completes_a_channel_in_the_file(file: Path) -> None:
    text = """
        [channels.Email]
        host = "mail.example.com"
        from_address = "alerts@example.com"
        username = "ada"
        port = 25
        """
    environ = {"CERTCTL_SMTP_PASSWORD": SECRET, "CERTCTL_SMTP_PORT": "2525"}
    destination = only_channel(from_file(file, text, environ)).destination
    assert isinstance(destination, EmailDestination)
    assert destination.password is not None
    assert destination.password.get_secret_value() == SECRET
    assert destination.port == 2525


def test_the_file_can_be_named_by_a_variable(file: Path) -> None:
    file.write_text("max_attempts = 2")
    assert load_settings(None, {"CERTCTL_CONFIG": str(file)}).max_attempts == 2


def test_a_file_passed_as_an_option_overrides_the_one_named_by_a_variable(file: Path) -> None:
    assert from_file(file, "max_attempts = 2", {"CERTCTL_CONFIG": "/nowhere"}).max_attempts == 2


def test_a_missing_settings_file_prevents_the_start(file: Path) -> None:
    assert problems(file) == (f"the settings file {file} can't be read: No such file or directory",)


@pytest.mark.parametrize("text", [b"max_attempts =", b"a = '\xff'"])
def test_a_settings_file_that_is_not_toml_prevents_the_start(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    (problem,) = problems(file)
    assert problem.startswith(f"the settings file {file} is not valid TOML: ")


def test_an_endless_settings_file_is_refused() -> None:
    assert problems(Path("/dev/zero")) == ("the settings file /dev/zero is larger than 1048576 bytes",)


def test_an_interval_that_only_certctl_allows_causes_a_warning() -> None:
    settings = load_settings(None, {"CERTCTL_NOTIFICATION_RETRY_INTERVAL": "87600h"})
    (warning,) = configuration_warnings(settings, {})
    assert warning.startswith("the retry interval counts as 365d")


def test_files_that_other_users_can_read_cause_a_warning(tmp_path: Path) -> None:
    database, file = tmp_path / "queue.db", tmp_path / "settings.toml"
    for path in (database, file):
        path.touch(mode=0o600)
    settings = load_settings(file, {"CERTCTL_DATABASE_URL": f"sqlite:///{database}"})
    assert configuration_warnings(settings, {}, file) == ()
    database.chmod(0o640)
    file.chmod(0o644)
    assert configuration_warnings(settings, {}, file) == (
        f"other users of this machine can read the settings file {file} (mode 644): chmod 600 {file}",
        f"other users of this machine can read the database {database} (mode 640): chmod 600 {database}",
    )
    assert len(configuration_warnings(settings, {"CERTCTL_CONFIG": str(file)})) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('databse_url = "correct-horse-battery"', "databse_url is not a setting: did you mean database_url?"),
        ("chanels = {}", "chanels is not a setting: did you mean channels?"),
        (
            '[channels.ops]\nkind = "teams"\nwebhook_url = "https://a.example"\nwebhok_url = 1',
            "channels.ops.webhok_url is not a setting: did you mean webhook_url?",
        ),
        (
            '[channels.ops]\nkind = "teams"\nwebhook_url = "https://a.example"\nconcurency = 1',
            "channels.ops.concurency is not a setting: did you mean concurrency?",
        ),
        (
            '[channels.ops]\nkind = "teams"\nwebhook_url = "https://a.example"\nzzz = 1',
            "channels.ops.zzz is not a setting: must be one of proxy, ca_file, client_cert, "
            "client_key, connect_timeout, kind, webhook_url, burst, concurrency, fallback, "
            "fallback_recipient, rate, sessions, templates",
        ),
    ],
)
def test_the_error_for_an_unknown_key_suggests_the_nearest(file: Path, text: str, problem: str) -> None:
    assert problems_in(file, text) == (problem,)


KINDS = "email, webhook, slack, teams, pagerduty, opsgenie, apprise, plugin"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('deliver = "maybe"', "deliver='maybe': must be 'watch', 'rescue' or 'deliver'"),
        ('rescue_grace = "1m"', "rescue_grace='1m': must be a duration, at least 2m and at most 1d"),
        ('retry_interval = "0s"', "retry_interval='0s': must be a duration, at least 1s"),
        ("max_attempts = 1.5", "max_attempts=1.5: must be a whole number, at least 1 and at most 100"),
        ("channels = 1", "channels (value not shown): must be a table"),
        ('channels.ops = "correct-horse-battery"', "channels.ops (value not shown): must be a table"),
        ('[channels.ops]\nkind = "slak"', f"channels.ops.kind='slak': must be one of {KINDS}"),
        ('[channels."my ops"]\n', f'channels."my ops".kind is missing: must be one of {KINDS}'),
        (
            '[channels.ops]\nkind = "slack"',
            "channels.ops.webhook_url is missing: the channel ops needs it",
        ),
        (
            '[channels.Email]\nhost = "a"',
            "channels.Email.from_address is missing: the channel Email needs it",
        ),
        (
            '[channels.ops]\nkind = "email"\nhost = "a"\nfrom_address = "a@b.example"\nusername = "a"',
            "channel ops: channels.ops.username and channels.ops.password go together: set both or neither",
        ),
        (
            '[channels.ops]\nkind = "pagerduty"\nrouting_key = ""',
            "channels.ops.routing_key (value not shown): must not be empty",
        ),
        (
            '[channels.ops]\nkind = "plugin"\nnotifier = "x"\noptions = { a = ["correct-horse-battery"] }',
            "channels.ops.options.a (value not shown): must be a valid string",
        ),
        (
            '[channels.Webhook]\nurl = "http://a.example"\nconcurrency = -1',
            "channels.Webhook.concurrency=-1: must be a whole number, at least 0",
        ),
    ],
)
def test_the_error_for_a_problem_in_the_file_names_its_key(file: Path, text: str, problem: str) -> None:
    assert problems_in(file, text) == (problem,)


def test_the_error_for_a_problem_in_the_file_names_the_file(file: Path) -> None:
    file.write_text("concurrency = 0")
    (problem,) = problems(file)
    assert problem.startswith(f"{file}: concurrency=0: ")


def test_the_error_names_a_variable_that_does_not_fit_the_channels_kind_in_the_file(file: Path) -> None:
    text = '[channels.Webhook]\nkind = "plugin"\nnotifier = "x"'
    (problem,) = problems_in(file, text, {"CERTCTL_WEBHOOK_URL": f"https://{SECRET}.example"})
    assert problem.startswith("CERTCTL_WEBHOOK_URL is not a setting")
    assert SECRET not in problem


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///elsewhere.db")
    monkeypatch.setenv("CERTCTL_NOTIFICATION_MAX_ATTEMPTS", "9")
    monkeypatch.setenv("MAX_ATTEMPTS", "9")
    assert load_settings(None, {}).max_attempts == 5
    assert Settings().max_attempts == 5


CHANNELS_THAT_FALL_BACK = """
[channels.Slack]
webhook_url = "https://hooks.slack.com/services/T/B/X"
fallback = "Teams"

[channels.Teams]
webhook_url = "https://teams.example.com/x"
fallback = "Email"
fallback_recipient = "ops@example.com"

[channels.Email]
host = "mail.example.com"
from_address = "alerts@example.com"
"""


def test_channels_can_have_fallbacks(file: Path) -> None:
    channels = from_file(file, CHANNELS_THAT_FALL_BACK).named_channels
    assert [(c.fallback, c.fallback_recipient) for c in channels.values()] == [
        ("Teams", ""),
        ("Email", "ops@example.com"),
        (None, ""),
    ]


def test_a_fallback_can_be_set_with_a_variable() -> None:
    slack = {"CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/X"}
    fallback = {"CERTCTL_SLACK_FALLBACK": "Email", "CERTCTL_SLACK_FALLBACK_RECIPIENT": "ops@example.com"}
    settings = load_settings(None, SMTP | slack | fallback)
    assert settings.named_channels["Slack"].fallback == "Email"


@pytest.mark.parametrize(
    ("appended", "problem"),
    [
        (
            'fallback = "Slack"',
            "channel Slack: channels.Slack.fallback leads back to it: Slack -> Teams -> Email -> Slack",
        ),
        ('fallback = "Email"', "channel Email: channels.Email.fallback leads back to it: Email -> Email"),
        (
            'fallback = "Emial"',
            "channel Email: channels.Email.fallback is 'Emial', which is not a configured channel "
            "(Slack, Teams, Email)",
        ),
        (
            'fallback_recipient = "ops@example.com"',
            "channel Email: channels.Email.fallback_recipient needs channels.Email.fallback",
        ),
        (
            '[channels.Webhook]\nurl = "https://hooks.example.com/"\nfallback = "Email"',
            "channel Webhook: channels.Webhook.fallback_recipient is missing: mail needs an address",
        ),
    ],
)
def test_an_unknown_or_circular_fallback_is_refused(file: Path, appended: str, problem: str) -> None:
    assert problems_in(file, f"{CHANNELS_THAT_FALL_BACK}{appended}\n") == (problem,)


def test_the_error_for_a_fallback_cycle_from_variables_names_them() -> None:
    environ = SMTP | {
        "CERTCTL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/X",
        "CERTCTL_SMTP_FALLBACK": "Slack",
        "CERTCTL_SLACK_FALLBACK": "Email",
        "CERTCTL_SLACK_FALLBACK_RECIPIENT": "ops@example.com",
    }
    assert problems(environ=environ) == (
        "channel Email: CERTCTL_SMTP_FALLBACK leads back to it: Email -> Slack -> Email",
    )


def test_dead_letter_alerts_are_off_until_a_channel_is_set(file: Path) -> None:
    assert load_settings(None, {}).dead_letters.alert is None
    written = '[dead_letters]\nalert = "Teams"\nwindow = "30m"\n'
    settings = from_file(file, written + CHANNELS_THAT_FALL_BACK)
    assert (settings.dead_letters.alert, settings.dead_letters.window) == ("Teams", timedelta(minutes=30))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            'alert = "Emial"',
            "dead_letters.alert is 'Emial', which is not a configured channel (Slack, Teams, Email)",
        ),
        ('alert = "Email"', "dead_letters.recipient is missing: alerts by mail need an address"),
        (
            'recipient = "ops@example.com"',
            "dead_letters.recipient needs dead_letters.alert, the channel of the alerts",
        ),
        (
            'alert = "Teams"\nwindow = "1s"',
            "dead_letters.window='1s': must be a duration, at least 1m",
        ),
        ('alrt = "Teams"', "dead_letters.alrt is not a setting: did you mean alert?"),
    ],
)
def test_dead_letter_alerts_that_nobody_would_receive_are_refused(
    file: Path, written: str, problem: str
) -> None:
    assert problems_in(file, f"[dead_letters]\n{written}\n{CHANNELS_THAT_FALL_BACK}") == (problem,)


def test_nothing_is_deleted_unless_a_retention_period_is_set(file: Path) -> None:
    assert load_settings(None, {}).retention == RetentionSettings()
    retention = from_file(file, '[retention]\nsent = "90d"\naudit = "3650d"').retention
    assert (retention.sent, retention.read, retention.audit) == (
        timedelta(days=90),
        None,
        timedelta(days=3650),
    )
    variables = {"CERTCTL_NOTIFICATION_RETENTION_DEAD": "365d"}
    assert load_settings(None, variables).retention == RetentionSettings(dead=timedelta(days=365))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("90", "must be at least 1d"),
        ("0", "must be at least 1d"),
        ("forever", "must be a duration such as 90s, 2m, 1h30m, 500ms or a number of seconds"),
        ("40000d", "must be a duration from 0s to 36500d"),
    ],
)
def test_a_retention_period_that_would_delete_nearly_everything_is_refused(
    written: str, problem: str
) -> None:
    (line,) = problems(environ={"CERTCTL_NOTIFICATION_RETENTION_SENT": written})
    assert line == f"CERTCTL_NOTIFICATION_RETENTION_SENT='{written}': {problem}"
