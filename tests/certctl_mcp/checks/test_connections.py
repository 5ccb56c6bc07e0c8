"""What the check of a channel's connection to its receiver finds, without sending anything."""

import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from certctl_mcp.checks.connections import check_connection
from certctl_mcp.checks.results import CheckResult, Verdict
from certctl_mcp.config.destinations import Channel
from tests.certctl_mcp.notifiers.authority import Authority
from tests.certctl_mcp.notifiers.proxy import proxying
from tests.certctl_mcp.notifiers.receiver import serve
from tests.certctl_mcp.notifiers.relay import USERNAME, relaying


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def webhook(url: str, **settings: object) -> Channel:
    return Channel.model_validate({"name": "Ops", "destination": {"kind": "webhook", "url": url, **settings}})


def mail(address: tuple[str, int], **settings: object) -> Channel:
    destination = {"kind": "email", "host": address[0], "port": address[1], "from_address": "a@example.com"}
    return Channel.model_validate({"name": "Mail", "destination": {**destination, **settings}})


async def failure(channel: Channel) -> CheckResult:
    found = await check_connection(channel)
    assert found.verdict is Verdict.FAIL
    assert found.help
    assert found.quotes_receiver
    return found


async def test_a_receiver_gets_a_connection_and_no_request() -> None:
    async with serve() as receiver:
        found = await check_connection(webhook(f"{receiver.url}s3cr3t-path-of-a-token"))
    assert found.verdict is Verdict.OK
    assert found.found.startswith(f"webhook at {receiver.host} (not signed): connected in ")
    assert "s3cr3t" not in found.model_dump_json()
    assert receiver.received == []


async def test_tls_is_verified_against_the_channels_authority(authority: Authority) -> None:
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=authority.server())
    async with server:
        place = f"localhost:{server.port}"
        url = f"https://{place}/"
        found = await check_connection(webhook(url, ca_file=authority.ca_file))
        assert found.verdict is Verdict.OK
        assert "TLSv1.3, certificate valid until 3000-01-01" in found.found
        untrusted = await failure(webhook(url))
    assert untrusted.found.startswith(f"the TLS certificate of {place} is not trusted: ")
    assert "ca_file" in str(untrusted.help)


@pytest.mark.parametrize(
    ("url", "settings", "why"),
    [
        ("https://nowhere.invalid/", {}, "the name of nowhere.invalid:443 could not be resolved: "),
        ("http://127.0.0.1:9/", {}, "the connection to 127.0.0.1:9 failed: Connection refused"),
        (
            "http://127.0.0.1:9/",
            {"proxy": "http://ada:s3cr3t@127.0.0.1:9"},
            "the connection to 127.0.0.1:9 failed",
        ),
        (
            "https://x.example/",
            {"proxy": "http://127.0.0.1:9"},
            "the connection to the proxy 127.0.0.1:9 failed",
        ),
        (
            "https://127.0.0.1:9/",
            {"ca_file": "/none.pem"},
            "its certificate files can't be used: No such file",
        ),
    ],
)
async def test_the_cause_of_a_failed_connection_is_reported(
    url: str, settings: dict[str, str], why: str
) -> None:
    found = await failure(webhook(url, **settings))
    assert found.found.startswith(why)
    assert "s3cr3t" not in found.model_dump_json()


async def test_the_connection_is_made_through_the_proxy() -> None:
    async with proxying() as proxy, relaying() as relay:
        direct = mail(relay.address, security="none", proxy=proxy.url)
        found = await check_connection(direct)
        assert found.verdict is Verdict.OK
        assert f" by the proxy {proxy.place}" in found.found
        assert proxy.requests == [f"CONNECT {relay.name} HTTP/1.1"]
        proxy.refuses = 403
        refused = await failure(direct)
    assert refused.found == f"the proxy {proxy.place} answered 403 when asked to connect to {relay.name}"


async def test_an_unencrypted_connection_beyond_loopback_causes_a_warning() -> None:
    async with proxying() as proxy:
        found = await check_connection(webhook("http://receiver.example/", proxy=proxy.url))
        assert proxy.requests == []
    assert found.verdict is Verdict.WARN
    assert "not encrypted" in found.found


async def test_a_relay_is_greeted_over_tls_without_a_login_or_an_email(authority: Authority) -> None:
    login = {"username": USERNAME, "password": "wrong"}
    async with relaying(starttls=authority.server(), login=True) as relay:
        found = await check_connection(mail(relay.address, ca_file=authority.ca_file, **login))
        assert found.verdict is Verdict.OK
        assert "TLSv1.3, certificate valid until 3000-01-01" in found.found
        assert relay.taken == []
        untrusted = await failure(mail(relay.address))
    assert untrusted.found.startswith(f"the TLS certificate of {relay.name} is not trusted: ")


async def test_a_relay_without_tls_is_distinguished_from_one_with_it() -> None:
    async with relaying() as relay:
        found = await failure(mail(relay.address))
    assert relay.name in found.found


async def test_a_relay_that_never_greets_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certctl_mcp.checks.connections.CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = await failure(mail(silent.getsockname(), security="none"))
    assert "no answer from " in found.found or "no connection to " in found.found


async def test_other_kinds_of_channel_are_not_checked() -> None:
    destination = {"kind": "apprise", "url": "discord://s3cr3t/token"}
    found = await check_connection(Channel.model_validate({"name": "Chat", "destination": destination}))
    assert (found.verdict, found.found) == (
        Verdict.OK,
        "Apprise service (discord): nothing can be checked without sending",
    )
