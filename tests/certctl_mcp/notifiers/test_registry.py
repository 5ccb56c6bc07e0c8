import errno
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.notifiers.base import Notifier
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.registry import NotifierRegistry
from tests.builders import notification
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver
from tests.certctl_mcp.notifiers.scripted_server import serving, silence

# Apprise imports it on Python versions that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

DESTINATIONS: dict[str, dict[str, Any]] = {
    "Email": {"kind": "email", "host": "mail.example.com", "from_address": "a@example.com"},
    "Webhook": {"kind": "webhook", "url": "https://u:hidden@hooks.example.com:8443/hidden?k=hidden"},
    "Slack": {"kind": "slack", "webhook_url": "https://hooks.slack.com/services/T0/B0/hidden"},
    "Teams": {"kind": "teams", "webhook_url": "https://x.logic.azure.com/workflows/hidden?sig=hidden"},
    "PagerDuty": {"kind": "pagerduty", "routing_key": "hidden"},
    "OpsGenie": {"kind": "opsgenie", "api_key": "hidden", "api_url": "https://api.eu.opsgenie.com/v2/alerts"},
    "Chat": {"kind": "apprise", "url": "discord://4174216298/hidden"},
}


def channel(name: str, destination: dict[str, Any]) -> Channel:
    return Channel.model_validate({"name": name, "destination": destination})


def channels() -> tuple[Channel, ...]:
    return tuple(channel(name, destination) for name, destination in DESTINATIONS.items())


def webhook(url: str, **settings: Any) -> Channel:
    return channel("Webhook", {"kind": "webhook", "url": url, **settings})


async def test_every_kind_of_destination_has_a_notifier() -> None:
    async with NotifierRegistry.open(channels(), 10) as registry:
        kinds = {name: type(await registry.find(name)).__name__ for name in DESTINATIONS}
    assert kinds == {
        "Email": "EmailNotifier",
        "Webhook": "WebhookNotifier",
        "Slack": "SlackNotifier",
        "Teams": "TeamsNotifier",
        "PagerDuty": "PagerDutyNotifier",
        "OpsGenie": "OpsGenieNotifier",
        "Chat": "AppriseNotifier",
    }


async def test_a_notifier_is_built_once_for_each_channel() -> None:
    async with NotifierRegistry.open(channels(), 10) as registry:
        assert await registry.find("Slack") is await registry.find("Slack")
        assert isinstance(await registry.find("Slack"), Notifier)


@pytest.mark.parametrize("name", ["slack", "Pager", ""])
async def test_an_unconfigured_channel_has_no_notifier(name: str) -> None:
    async with NotifierRegistry.open(channels(), 10) as registry:
        assert await registry.find(name) is None


async def test_descriptions_show_kind_and_host_but_no_secrets() -> None:
    async with NotifierRegistry.open(channels(), 10) as registry:
        descriptions = registry.descriptions
    assert descriptions == {
        "Email": "SMTP relay mail.example.com:587 (STARTTLS)",
        "Webhook": "webhook at hooks.example.com:8443 (not signed)",
        "Slack": "Slack incoming webhook at hooks.slack.com",
        "Teams": "Teams Workflows webhook at x.logic.azure.com",
        "PagerDuty": "PagerDuty service at events.pagerduty.com (severity warning)",
        "OpsGenie": "OpsGenie account at api.eu.opsgenie.com (priority P3)",
        "Chat": "Apprise service (discord)",
    }


async def test_channels_share_the_timeout_of_the_registry(receiver: Receiver) -> None:
    async with serving(silence) as address:
        silent = webhook(f"http://{address}/")
        async with NotifierRegistry.open([silent], 10, send_timeout=timedelta(milliseconds=20)) as registry:
            notifier = await registry.find("Webhook")
            assert notifier is not None
            assert str(await failure_of(notifier)) == f"no answer from {address} within 0.02 s"


async def test_closing_a_registry_closes_its_connections(receiver: Receiver) -> None:
    async with NotifierRegistry.open([webhook(receiver.url)], 10) as registry:
        notifier = await registry.find("Webhook")
        assert notifier is not None
        await notifier.send(notification())
    assert len(receiver.received) == 1


async def test_a_broken_destination_fails_only_its_own_sends(receiver: Receiver) -> None:
    broken = channel("Broken", {"kind": "webhook", "url": receiver.url, "ca_file": "/nowhere/ca.pem"})
    async with NotifierRegistry.open([broken, webhook(receiver.url)], 10) as registry:
        notifier, sound = await registry.find("Broken"), await registry.find("Webhook")
        assert notifier is not None
        assert sound is not None
        failure = await failure_of(notifier)
        await sound.send(notification())
    assert "can't be used" in str(failure)
    assert not failure.permanent


async def test_building_a_notifier_is_retried(receiver: Receiver, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    late = webhook(receiver.url, ca_file=str(ca_file))
    async with NotifierRegistry.open([late], 10) as registry:
        for _ in range(2):
            notifier = await registry.find("Webhook")
            assert notifier is not None
            failure = await failure_of(notifier)
            assert failure.kind is FailureKind.SETUP
            assert failure.of_channel
            assert not failure.permanent
        trustme.CA().cert_pem.write_to_path(str(ca_file))
        sound = await registry.find("Webhook")
        assert sound is not None
        await sound.send(notification())


@pytest.mark.parametrize("name", [*DESTINATIONS])
async def test_without_a_free_file_descriptor_every_channel_waits(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def exhausted(self: NotifierRegistry, destination: object) -> Notifier:
        raise OSError(errno.EMFILE, "Too many open files")

    async with NotifierRegistry.open(channels(), 10) as registry:
        with monkeypatch.context() as patch:
            patch.setattr(NotifierRegistry, "_import", exhausted)
            notifier = await registry.find(name)
            assert notifier is not None
            failure = await failure_of(notifier)
        assert "Too many open files" in str(failure)
        assert failure.of_channel
        assert not failure.permanent
        assert type(await registry.find(name)).__name__.endswith("Notifier")


def test_an_unknown_plugin_is_an_error_at_startup() -> None:
    pager = channel("Pager", {"kind": "plugin", "notifier": "acme"})
    with pytest.raises(SettingsError, match=r"channel Pager can't be used: .* 'acme'; installed are: "):
        NotifierRegistry([pager], 10)


def test_missing_apprise_is_an_error_that_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setattr("certctl_mcp.notifiers.registry.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'certctl-mcp\[apprise\]'"):
        NotifierRegistry([channel("Chat", DESTINATIONS["Chat"])], 10)


def test_an_unused_channel_imports_nothing() -> None:
    heavy = "('aiohttp', 'aiosmtplib', 'apprise', 'standardwebhooks')"
    program = (
        "import sys\n"
        "from certctl_mcp.config.destinations import Channel\n"
        "from certctl_mcp.notifiers.registry import NotifierRegistry\n"
        f"named = {DESTINATIONS}.items()\n"
        "channels = [Channel.model_validate(dict(name=n, destination=d)) for n, d in named]\n"
        "registry = NotifierRegistry(channels, 10)\n"
        "registry.descriptions\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
