"""Message content on every channel: within the provider's limits, with truncation marked and a link."""

import json
from typing import Any

import pytest

from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import load_settings
from certctl_mcp.notifiers.registry import NotifierRegistry
from storage.models import Notification
from tests.builders import notification
from tests.certctl_mcp.notifiers.receiver import Received, Receiver
from tests.certctl_mcp.notifiers.relay import relaying
from tests.certctl_mcp.notifiers.test_refusals import HTTP_CHANNELS

BOUNDED = ["slack", "teams", "pagerduty", "opsgenie"]
HARD_TO_ENCODE = ["x", "&", "<", '"', "\\", "\n", "\x01", "ü", "\U0001f512", "\u2028"]


async def received(
    receiver: Receiver, channel: str, sent: Notification, public_url: str | None = None, **settings: Any
) -> Received:
    """The request sent for the notification."""
    templates = settings.pop("templates", {})
    destination = HTTP_CHANNELS[channel](receiver.url) | settings
    configured = Channel.model_validate(
        {"name": "Alerts", "destination": destination, "templates": templates}
    )
    receiver.received.clear()
    async with NotifierRegistry.open([configured], 10, public_url=public_url) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        await notifier.send(sent)
    return receiver.only


def size_at_provider(channel: str, body: bytes) -> tuple[int, int]:
    """The size as the provider measures it, and its limit."""
    match channel:
        case "slack":
            return len(json.loads(body)["text"]), 40_000
        case "teams":
            # The flow encodes the card again.
            return len(json.dumps(body.decode(), ensure_ascii=False).encode()), 28 * 1024
        case "pagerduty":
            return len(body), 512 * 1024
        case _:
            return len(json.loads(body)["description"]), 15_000


@pytest.mark.parametrize("channel", BOUNDED)
@pytest.mark.parametrize("character", HARD_TO_ENCODE)
async def test_a_body_is_within_the_limit_of_the_provider_and_marks_truncation(
    receiver: Receiver, channel: str, character: str
) -> None:
    for length in (7_100, 12_288, 40_000, 200_000, 600_000):
        sent = notification(message=character * length, certificate_id="mc-api")
        body = (await received(receiver, channel, sent)).body
        size, limit = size_at_provider(channel, body)
        assert size <= limit
        text = json.dumps(json.loads(body), ensure_ascii=False)
        assert "mc-api" in text
        whole = json.dumps(character * length, ensure_ascii=False)[1:-1]
        escaped = whole.replace("&", "&amp;").replace("<", "&lt;")
        assert "more bytes cut]" in text or whole in text or escaped in text
        if length == 600_000:
            assert "more bytes cut]" in text


@pytest.mark.parametrize("channel", BOUNDED)
async def test_a_long_name_is_truncated_with_a_mark(receiver: Receiver, channel: str) -> None:
    sent = notification(certificate_id="c" * 100_000, recipient="r" * 100_000)
    body = (await received(receiver, channel, sent)).body
    assert size_at_provider(channel, body)[0] <= size_at_provider(channel, body)[1]
    assert "ccc..." in body.decode()


@pytest.mark.parametrize("channel", sorted(HTTP_CHANNELS))
async def test_a_public_url_links_to_the_notification(receiver: Receiver, channel: str) -> None:
    link = "https://alerts.example.com/n/notif-17%252F%253Cx%253E"
    sent = notification(id="notif-17/<x>")
    body = (await received(receiver, channel, sent, "https://alerts.example.com/")).body
    assert link in body.decode()
    assert "alerts.example.com" not in (await received(receiver, channel, sent)).body.decode()


async def test_emails_have_distinct_subjects_and_the_link() -> None:
    async with relaying() as relay:
        host, port = relay.address
        destination = {
            "kind": "email",
            "host": host,
            "port": port,
            "from_address": "certs@example.com",
            "security": "none",
        }
        channel = Channel.model_validate({"name": "Alerts", "destination": destination})
        async with NotifierRegistry.open([channel], 10, public_url="https://a.example") as registry:
            notifier = await registry.find("Alerts")
            assert notifier is not None
            for message in ("api.example.com expires\nin 7 days", "x" * 5_000):
                await notifier.send(notification(id="n1", recipient="ada@example.com", message=message))
        first, second = relay.taken
    assert first.mail["Subject"] == "ExpirationWarning: api.example.com expires in 7 days"
    assert second.mail["Subject"].endswith("x...")
    assert len(second.mail["Subject"]) < 200
    plain = first.mail.get_body(("plain",))
    assert plain is not None
    assert "https://a.example/n/n1" in plain.get_content()


@pytest.mark.parametrize(
    ("type_", "settings", "action", "severity"),
    [
        ("ExpirationWarning", {}, "trigger", "warning"),
        ("RenewalSuccess", {}, "resolve", None),
        ("DeploymentSuccess", {}, "resolve", None),
        ("Revocation", {"types": {"Revocation": {"severity": "critical"}}}, "trigger", "critical"),
        ("RenewalSuccess", {"types": {"RenewalSuccess": {"action": "trigger"}}}, "trigger", "warning"),
    ],
)
async def test_each_type_maps_to_a_pagerduty_action(
    receiver: Receiver, type_: str, settings: dict[str, Any], action: str, severity: str | None
) -> None:
    event = (await received(receiver, "pagerduty", notification(type=type_), **settings)).json
    assert event["event_action"] == action
    assert event.get("payload", {}).get("severity") == severity


async def test_with_one_incident_for_each_certificate_a_success_resolves_the_warning(
    receiver: Receiver,
) -> None:
    for certificate in ("mc-api", "mc/<api>"):
        keys, paths = set(), []
        for type_ in ("ExpirationWarning", "RenewalFailure", "RenewalSuccess"):
            sent = notification(id=f"n-{type_}", type=type_, certificate_id=certificate)
            keys.add((await received(receiver, "pagerduty", sent, dedup="certificate")).json["dedup_key"])
            request = await received(receiver, "opsgenie", sent, dedup="certificate")
            paths.append((request.path, request.json.get("alias")))
        assert len(keys) == 1
        (opened, alias), (_, again), (closed, none) = paths
        assert (opened, again, none) == ("/", alias, None)
        assert closed == f"/{alias}/close?identifierType=alias"


async def test_by_default_every_notification_has_its_own_incident(receiver: Receiver) -> None:
    sent = notification(id="notif-17", certificate_id="mc-api")
    assert (await received(receiver, "pagerduty", sent)).json["dedup_key"] == "notif-17"
    assert (await received(receiver, "opsgenie", sent)).json["alias"] == "notif-17"


@pytest.mark.parametrize("channel", sorted(HTTP_CHANNELS))
async def test_templates_set_title_and_text_by_type(receiver: Receiver, channel: str) -> None:
    templates = {
        "ExpirationWarning": {
            "subject": "$$ $type for $certificate_id",
            "body": "For $recipient: $message",
        },
        "default": {"body": "something else"},
    }
    sent = notification(certificate_id="mc-api", message="$recipient ${x} <!channel>", recipient="ops")
    text = (await received(receiver, channel, sent, templates=templates)).body.decode()
    assert "For ops: $recipient ${x}" in text
    if channel != "webhook":
        assert "$ ExpirationWarning for mc-api" in text
    if channel == "slack":
        assert "<!channel>" not in text
    other = (await received(receiver, channel, notification(type="Revocation"), templates=templates)).body
    assert b"something else" in other


@pytest.mark.parametrize("template", ["$unknown", "${type", "100 $"])
def test_an_invalid_template_is_an_error_at_startup(tmp_path: Any, template: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[channels.Slack]\nwebhook_url = "https://a.example"\n'
        f'[channels.Slack.templates.default]\nbody = "{template}"\n'
    )
    with pytest.raises(SettingsError, match=r"may use \$type, \$message, .* and \$\$ for a dollar sign"):
        load_settings(file, {})


@pytest.mark.parametrize("channel", sorted(HTTP_CHANNELS))
async def test_a_preview_shows_the_message_and_sends_nothing(receiver: Receiver, channel: str) -> None:
    destination = HTTP_CHANNELS[channel](receiver.url)
    configured = Channel.model_validate(
        {
            "name": "Alerts",
            "destination": destination,
            "templates": {"default": {"body": "Worded: $message"}},
        }
    )
    async with NotifierRegistry.open([configured], 10) as registry:
        preview = await registry.preview(notification(channel="Alerts"))
    assert preview is not None
    assert "Worded: api.example.com expires in 7 days" in preview
    assert "R" * 32 not in preview
    if channel == "pagerduty":
        assert '"dedup_key":"notif-0001"' in preview
    assert receiver.received == []
