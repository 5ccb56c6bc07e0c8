"""Guarantees for every kind of channel: no secret leaks, and untrusted text mentions nobody."""

import json
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from certctl_mcp.config.destinations import Channel, Destination
from certctl_mcp.notifiers.registry import NotifierRegistry
from tests.builders import notification
from tests.certctl_mcp.notifiers.authority import Authority
from tests.certctl_mcp.notifiers.failure_checks import failure_of
from tests.certctl_mcp.notifiers.receiver import Receiver
from tests.certctl_mcp.notifiers.relay import PASSWORD, USERNAME, Relay, relaying

# Apprise imports it on Python versions that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

KEY = "eb243592-faa2-4ba2-a551-1afdf565c889"
SIGNING_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BASIC = "YWRhOmNvcnJlY3QtaG9yc2U"
"""ada:correct-horse, as an Authorization header encodes it."""


@dataclass(frozen=True)
class Kind:
    """A kind of channel: its settings for a receiver, and the secrets among them."""

    path: str
    secrets: tuple[str, ...]
    settings: dict[str, Any]
    url: str = "url"
    """The name of the setting for the receiver's URL."""

    def destination(self, kind: str, url: str) -> dict[str, Any]:
        if kind in ("webhook", "apprise"):
            url = url.replace("://", "://ada:correct-horse@")
        if kind == "apprise":
            url = url.replace("http", "json", 1)
        return {"kind": kind, self.url: url + self.path, **self.settings}


KINDS: dict[str, Kind] = {
    "webhook": Kind(
        "hook/0123456789abcdef?access=staple%2B1",
        ("correct-horse", BASIC, "0123456789abcdef", "staple%2B1", "staple+1", "tenant-key", SIGNING_SECRET),
        {"secrets": [SIGNING_SECRET], "headers": {"X-Tenant": "tenant-key"}},
    ),
    "slack": Kind(
        "services/T0000/B0000/correcthorsebattery",
        ("correcthorsebattery", "services/T0000"),
        {},
        url="webhook_url",
    ),
    "teams": Kind(
        "workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke?sp=%2Frun&sig=correct-Horse_1",
        ("correct-Horse_1", "0123456789abcdef0123456789abcdef"),
        {},
        url="webhook_url",
    ),
    "pagerduty": Kind(
        "v2/enqueue",
        ("R0123456789abcdefcorrecthorse",),
        {"routing_key": "R0123456789abcdefcorrecthorse"},
        url="api_url",
    ),
    "opsgenie": Kind("v2/alerts", (KEY,), {"api_key": KEY}, url="api_url"),
    "apprise": Kind("0123456789abcdef?token=staple", ("correct-horse", BASIC, "0123456789abcdef"), {}),
}
RELAYED = "email"
OF_OTHERS = "plugin"
"""Its notifiers are in other packages; `test_plugins.py` checks the same for their options."""


def test_every_kind_of_channel_is_tested() -> None:
    kinds = {model.model_fields["kind"].default for model in get_args(get_args(Destination)[0])}
    assert kinds == {*KINDS, RELAYED, OF_OTHERS}


def mailing(relay: Relay) -> dict[str, Any]:
    host, port = relay.address
    return {"kind": "email", "host": host, "port": port, "from_address": "a@b.c", "security": "none"}


@asynccontextmanager
async def opened(destination: dict[str, Any]) -> AsyncIterator[NotifierRegistry]:
    channel = Channel.model_validate({"name": "Alerts", "destination": destination})
    async with NotifierRegistry.open([channel], 10) as registry:
        yield registry


async def assert_no_secret_is_shown(destination: dict[str, Any], secrets: tuple[str, ...]) -> None:
    """Check the failure, its traceback, a preview and a description, whatever the receiver repeats."""
    sent = notification(channel="Alerts", recipient="ada@example.com")
    async with opened(destination) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        failure = await failure_of(notifier, sent)
        shown = [
            *traceback.format_exception(failure),
            repr(failure),
            str(await registry.preview(sent)),
            *registry.descriptions.values(),
        ]
    for secret in secrets:
        assert secret not in "".join(shown)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *((kind, status) for kind in KINDS for status in (400, 500)),
        # A response that isn't a success for these.
        *((kind, 200) for kind in ("slack", "pagerduty", "opsgenie")),
    ],
)
async def test_no_secret_is_shown_when_the_receiver_repeats_the_request(
    receiver: Receiver, kind: str, status: int
) -> None:
    receiver.status, receiver.repeats = status, True
    await assert_no_secret_is_shown(KINDS[kind].destination(kind, receiver.url), KINDS[kind].secrets)


async def test_no_secret_is_shown_when_the_relay_repeats_the_login(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secrets = (PASSWORD, "AGFkYQBjb3JyZWN0LWhvcnNl", "Y29ycmVjdC1ob3JzZQ")
    async with relaying(tls=authority.server(), login=True) as relay:
        relay.data_reply = f"554 {' '.join(secrets)}"
        login = {"username": USERNAME, "password": PASSWORD, "security": "tls", "ca_file": authority.ca_file}
        await assert_no_secret_is_shown(mailing(relay) | login, secrets)


MENTIONS = (
    "@everyone",
    "@here",
    "(@channel)",
    ".@room",
    "@all",
    "@ada",
    "-@ada",
    "@**all**",
    "@*ops*",
    "<!channel>",
    "<!here|here>",
    "<!subteam^S024BE7LH>",
    "<@U024BE7LH>",
    "<@123>",
    "<@!123>",
    "<@&456>",
    "<#C02>",
    "<users/all>",
    "<users/123>",
    '<at user_id="all"></at>',
    "<http://evil.example|bank>",
)
"""For Slack, Discord, Google Chat, Mattermost, Matrix, Zulip, Telegram, Webex and Feishu."""

_APPRISE_CALLS = re.compile(r"(?<!\w)@[\w*]|<[@!#][\w&!]|<users/|<at\b")
_SLACK_CALLS = re.compile(r"<(?!https://alerts\.example\.com/)")


def mentions_and_links(kind: str, body: bytes) -> list[str]:
    """What the service would interpret as a mention or a link."""
    content = json.loads(body)
    match kind:
        case "slack":
            assert (content["parse"], content["link_names"], content["mrkdwn"]) == ("none", False, False)
            return _SLACK_CALLS.findall(content["text"])
        case "teams":
            card = content["attachments"][0]["content"]
            # A mention is an entity of the card, and a link needs a block of another type.
            assert "entities" not in card["msteams"]
            return [block["type"] for block in card["body"] if block["type"] != "RichTextBlock"]
        case "apprise":
            return _APPRISE_CALLS.findall(content["title"]) + _APPRISE_CALLS.findall(content["message"])
    # The receiver is a program, or the service has no mentions.
    return []


@pytest.mark.parametrize("kind", KINDS)
async def test_untrusted_text_mentions_nobody(receiver: Receiver, kind: str) -> None:
    async with opened(KINDS[kind].destination(kind, receiver.url)) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        receiver.body = "" if kind != "apprise" else "ok"
        for mention in MENTIONS:
            await notifier.send(
                notification(
                    id=mention,
                    type=mention,
                    message=f"{mention} at ops@example.com",
                    certificate_id=mention,
                    recipient=mention,
                )
            )
    assert len(receiver.received) == len(MENTIONS)
    for mention, received in zip(MENTIONS, receiver.received, strict=True):
        assert mentions_and_links(kind, received.body) == [], mention
        assert b"ops@example.com" in received.body


async def test_an_email_is_plain_text_despite_mentions() -> None:
    message = " ".join(MENTIONS)
    async with relaying() as relay, opened(mailing(relay)) as registry:
        notifier = await registry.find("Alerts")
        assert notifier is not None
        await notifier.send(notification(recipient="ada@example.com", message=message, type="<b>@all</b>"))
    text, page = relay.only.mail.get_body(("plain",)), relay.only.mail.get_body(("html",))
    assert text is not None
    assert page is not None
    assert message in text.get_content()
    assert not re.search(r"<(?:http|at\b|b>)", page.get_content())
