"""Secrets copied from an example are recognized and reported; real ones are not."""

import secrets
from pathlib import Path

import pytest

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.placeholder_secrets import is_placeholder, placeholder_secrets
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.warnings import configuration_warnings
from certctl_mcp.http.exposure import require_keys_beyond_loopback

EXAMPLE = Path(__file__).parents[3] / "examples" / "settings.toml"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "XXXX",
            "xxxxxxxxxxxxxxxx",
            "YYYY",
            "change-me",
            "changeme123",
            "CHANGE_ME_TOO",
            "your-routing-key",
        ),
        *("YOUR_API_KEY", "<token>", "***", "...", "replace-me", "placeholder", "xoxb-XXXXXXXX"),
    ],
)
def test_placeholders_are_recognized(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text", ["", "hunter2", "yours-truly-99", "R0utingKey", "xxx", "exchange-mexico", "T000"]
)
def test_real_secrets_are_not_placeholders(text: str) -> None:
    assert not is_placeholder(text)


def test_random_keys_are_not_placeholders() -> None:
    for _ in range(2000):
        assert not is_placeholder(secrets.token_urlsafe(32))
        assert not is_placeholder(secrets.token_hex(16))


def test_every_placeholder_in_the_example_settings_is_found() -> None:
    found = {".".join(key) for key in placeholder_secrets(load_settings(EXAMPLE, {}))}
    assert found == {
        "http.api_keys_named",
        "channels.Email.password",
        "channels.Slack.webhook_url",
        "channels.PagerDuty.routing_key",
        "channels.Slack-Platform.webhook_url",
        "channels.PagerDuty-Payments.routing_key",
        "channels.CMDB.secrets",
    }


def test_the_warning_uses_the_variables_that_the_operator_set(database_url: str) -> None:
    environ = {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_PAGERDUTY_ROUTING_KEY": "your-routing-key",
        "CERTCTL_WEBHOOK_URL": "https://x.example/?token=change-me",
        "CERTCTL_AUTH_SECRET": "change-me",
    }
    variables = [line.split()[0] for line in configuration_warnings(load_settings(None, environ), environ)]
    assert variables == ["CERTCTL_AUTH_SECRET", "CERTCTL_WEBHOOK_URL", "CERTCTL_PAGERDUTY_ROUTING_KEY"]


def test_a_placeholder_key_is_refused_beyond_loopback() -> None:
    environ = {"CERTCTL_API_KEYS_NAMED": "ops:change-me:admin"}
    require_keys_beyond_loopback(load_settings(None, environ).http)
    with pytest.raises(SettingsError, match="the key of ops, which is still a placeholder"):
        require_keys_beyond_loopback(load_settings(None, environ | {"CERTCTL_SERVER_HOST": "0.0.0.0"}).http)
