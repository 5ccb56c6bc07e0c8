"""Allowed email recipients: patterns bind everyone; without any, assistants can use the sender's domain."""

import pytest

from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.settings import load_settings
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients, RecipientNotAllowedError

BASE = {"CERTCTL_SMTP_HOST": "mail.example.com", "CERTCTL_SMTP_FROM_ADDRESS": "Certs <certs@example.com>"}


def channels(patterns: str) -> tuple[Channel, ...]:
    return load_settings(None, BASE | ({"CERTCTL_SMTP_RECIPIENTS": patterns} if patterns else {})).channels


@pytest.mark.parametrize(
    ("patterns", "recipient", "anyone", "assistant"),
    [
        ("", "ops@example.com", True, True),
        ("", "Ops <OPS@Example.COM>; b@example.com", True, True),
        ("", "ops@evil.example", True, False),
        ("", "ops@example.com, eve@evil.example", True, False),
        ("", "ops@sub.example.com", True, False),
        ("", "ops@example.com.evil.example", True, False),
        ("", '"x@example.com"@evil.example', True, False),
        ("", "ops@[192.0.2.1]", True, False),
        ("*@example.org", "ops@example.org", True, True),
        ("*@example.org", "ops@example.com", False, False),
        ("ops@example.org, *@*.example.org", "ops@example.org", True, True),
        ("ops@example.org, *@*.example.org", "x@a.example.org", True, True),
        ("ops@example.org, *@*.example.org", "x@example.org", False, False),
        ("*@straße.de", "ops@straße.de", True, True),
        ("*@straße.de", "ops@strasse.de", False, False),
        ("*@example.org", "not an address", True, True),
    ],
)
def test_email_goes_only_to_allowed_recipients(
    patterns: str, recipient: str, anyone: bool, assistant: bool
) -> None:
    allowed = AllowedRecipients(channels(patterns))
    for by_assistant, passes in ((False, anyone), (True, assistant)):
        if passes:
            allowed.check("Email", recipient, assistant=by_assistant)
            continue
        with pytest.raises(RecipientNotAllowedError) as caught:
            allowed.check("Email", recipient, assistant=by_assistant)
        assert "evil" not in str(caught.value)


def test_other_channels_accept_any_recipient() -> None:
    AllowedRecipients(channels("*@example.org")).check("Slack", "eve@evil.example", assistant=True)
