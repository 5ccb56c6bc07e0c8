"""Every secret can come from a file, named by a variable or by a key of the settings file."""

import os
from pathlib import Path

import pytest

from certctl_mcp.config.destinations import (
    EmailDestination,
    SlackDestination,
    WebhookDestination,
)
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.secret_files import SECRET_VARIABLES
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.warnings import configuration_warnings

SLACK = "https://hooks.slack.com/services/T0/B0/from-a-file"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SLACK}\n")
    path.chmod(0o600)
    return path


def problems(config: Path | None, environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ)
    return caught.value.problems


def test_the_secrets_of_every_channel_and_of_http_can_come_from_files() -> None:
    assert {
        "CERTCTL_DATABASE_URL",
        "CERTCTL_API_KEYS_NAMED",
        "CERTCTL_AUTH_SECRET",
        "CERTCTL_SMTP_PASSWORD",
        "CERTCTL_WEBHOOK_SECRET",
        "CERTCTL_TEAMS_WEBHOOK_URL",
        "CERTCTL_PAGERDUTY_ROUTING_KEY",
        "CERTCTL_OPSGENIE_API_KEY",
        "CERTCTL_SLACK_PROXY",
    } <= {*SECRET_VARIABLES}
    assert "CERTCTL_SMTP_HOST" not in SECRET_VARIABLES


def test_a_variable_names_the_file_of_a_secret(secret: Path) -> None:
    settings = load_settings(None, {"CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)})
    (channel,) = settings.channels
    assert isinstance(channel.destination, SlackDestination)
    assert channel.destination.webhook_url.get_secret_value() == SLACK


def test_keys_of_the_settings_file_name_files_too(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "keys").write_text("ada:key-of-ada:admin\nrita:key-of-rita:read-only\n")
    (tmp_path / "url").write_text("sqlite:////srv/queue.db")
    (tmp_path / "password").write_text(" with spaces $PATH ${x} ")
    (tmp_path / "signing").write_text("new-secret\nold-secret\n")
    (tmp_path / "header").write_text("Bearer abc")
    config = tmp_path / "settings.toml"
    config.write_text(
        f"""
        database_url_file = "{tmp_path}/url"
        [http]
        api_keys_named_file = "{tmp_path}/keys"
        [channels.Platform]
        kind = "slack"
        webhook_url_file = "{secret}"
        [channels.Email]
        host = "smtp.example.com"
        from_address = "ops@example.com"
        username = "ops"
        password_file = "{tmp_path}/password"
        [channels.Webhook]
        url = "https://example.com/"
        secrets_file = "{tmp_path}/signing"
        headers = {{ X-Team = "platform", Authorization_file = "{tmp_path}/header" }}
        """
    )
    settings = load_settings(config, {})
    assert settings.database_url.get_secret_value() == "sqlite:////srv/queue.db"
    assert [key.name for key in settings.http.keys] == ["ada", "rita"]
    platform, email, webhook = (channel.destination for channel in settings.channels)
    assert isinstance(platform, SlackDestination)
    assert isinstance(email, EmailDestination)
    assert email.password is not None
    assert email.password.get_secret_value() == " with spaces $PATH ${x} "
    assert isinstance(webhook, WebhookDestination)
    assert webhook.signing_keys == (b"new-secret", b"old-secret")
    assert webhook.headers["Authorization"].get_secret_value() == "Bearer abc"
    assert len(settings.secret_files) == 6


def test_both_forms_of_a_secret_are_an_error(tmp_path: Path, secret: Path) -> None:
    environ = {"CERTCTL_SLACK_WEBHOOK_URL": SLACK, "CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)}
    assert problems(None, environ) == (
        "CERTCTL_SLACK_WEBHOOK_URL and CERTCTL_SLACK_WEBHOOK_URL_FILE are both set: keep one of them",
    )
    config = tmp_path / "settings.toml"
    config.write_text(f'[channels.Slack]\nwebhook_url = "{SLACK}"\nwebhook_url_file = "{secret}"\n')
    assert problems(config, {}) == (
        f"{config}: channels.Slack.webhook_url and webhook_url_file are both set: keep one of them",
    )


def test_a_variable_overrides_a_secret_file_named_in_the_settings_file(tmp_path: Path, secret: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[channels.Slack]\nwebhook_url_file = "{secret}"\n')
    (channel,) = load_settings(config, {"CERTCTL_SLACK_WEBHOOK_URL": "https://example.com/own"}).channels
    assert isinstance(channel.destination, SlackDestination)
    assert channel.destination.webhook_url.get_secret_value() == "https://example.com/own"


def test_the_error_for_an_unusable_secret_file_names_the_file_and_the_setting(
    tmp_path: Path, secret: Path
) -> None:
    def problem(path: Path) -> str:
        (line,) = problems(None, {"CERTCTL_SMTP_PASSWORD_FILE": str(path)})
        return line.removeprefix(f"CERTCTL_SMTP_PASSWORD_FILE: the file {path} can't be used: ")

    assert problem(tmp_path / "absent") == "No such file or directory"
    assert problem(tmp_path) == "it is not a regular file"
    secret.write_text("\n")
    assert problem(secret) == "it is empty"
    secret.write_bytes(b"\xff\xfe")
    assert problem(secret) == "it is not text in UTF-8"
    secret.write_bytes(b"x" * 100_000)
    assert problem(secret) == "it is larger than 65536 bytes"
    assert "${NAME}" in problem(Path("${CREDENTIALS_DIRECTORY}/password"))


def test_the_error_for_an_invalid_secret_names_its_file_and_does_not_show_it(
    tmp_path: Path, secret: Path
) -> None:
    secret.write_text("no-url-but-a-secret")
    (line,) = problems(None, {"CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)})
    assert line == "CERTCTL_SLACK_WEBHOOK_URL_FILE (value not shown): must be a URL such as https://host/path"
    config = tmp_path / "settings.toml"
    config.write_text(f'[channels.Slack]\nwebhook_url_file = "{secret}"\n')
    (line,) = problems(config, {})
    assert line == (
        f"{config}: channels.Slack.webhook_url_file (value not shown): "
        "must be a URL such as https://host/path"
    )


def test_only_secrets_have_files(tmp_path: Path, secret: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'[channels.Email]\nhost_file = "{secret}"\nfrom_address = "a@example.com"\n')
    assert any("host_file is not a setting" in line for line in problems(config, {}))
    settings = load_settings(None, {})
    (warning,) = configuration_warnings(settings, {"CERTCTL_SMTP_HOST_FILE": "x"})
    assert warning == "the variable CERTCTL_SMTP_HOST_FILE is not used; did you mean CERTCTL_SMTP_HOST?"
    assert configuration_warnings(settings, {"CERTCTL_SMTP_PASSWORD_FILE": "x"}) == ()


def test_a_secret_file_that_others_can_read_causes_a_warning(secret: Path) -> None:
    secret.chmod(0o644)
    settings = load_settings(None, {"CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)})
    (warning,) = configuration_warnings(settings, {})
    assert warning.startswith(f"other users of this machine can read the secret in {secret} (mode 644)")


def test_a_file_that_has_changed_is_noticed(secret: Path) -> None:
    (file,) = load_settings(None, {"CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)}).secret_files
    assert not file.changed()
    # This is how Kubernetes and careful programs replace a file.
    other = secret.with_name("other")
    other.write_text(f"{SLACK}-new")
    os.replace(other, secret)
    assert file.changed()
    secret.unlink()
    assert not file.changed()
