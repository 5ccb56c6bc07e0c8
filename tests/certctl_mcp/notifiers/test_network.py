"""Network settings on every channel: private authorities, client certificates, proxies, addresses."""

import asyncio
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from certctl_mcp.config.destinations import Channel
from certctl_mcp.notifiers.base import DeliveryFailedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.name_resolution import Resolver
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.services.diagnosis.classification import classify
from tests.builders import notification
from tests.certctl_mcp.notifiers.authority import Authority
from tests.certctl_mcp.notifiers.proxy import Proxy, proxying
from tests.certctl_mcp.notifiers.relay import relaying
from tests.certctl_mcp.notifiers.scripted_server import serving, silence
from tests.certctl_mcp.notifiers.test_refusals import HTTP_CHANNELS

# Apprise imports it on Python versions that still have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

CHANNELS = ["email", *HTTP_CHANNELS, "apprise"]


def at(channel: str, url: str) -> dict[str, Any]:
    """An HTTP channel whose receiver is at `url`."""
    if channel == "apprise":
        return {"kind": "apprise", "url": re.sub("^http", "json", url)}
    return HTTP_CHANNELS[channel](url)


@asynccontextmanager
async def receiving(
    channel: str, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[dict[str, Any], list[str]]]:
    """The settings of a channel with a real receiver, and the requests received."""
    arrived: list[str] = []
    if channel == "email":
        async with relaying(tls=tls) as relay:
            host, port = relay.address
            yield (
                {
                    "kind": "email",
                    "host": host,
                    "port": port,
                    "from_address": "certs@example.com",
                    "security": "none" if tls is None else "tls",
                },
                arrived,
            )
            arrived += [taken.sender for taken in relay.taken]
        return

    async def take(request: web.Request) -> web.Response:
        arrived.append(request.path)
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", take)
    server = TestServer(application, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls)
    try:
        yield at(channel, str(server.make_url("/"))), arrived
    finally:
        await server.close()


async def sent_over(registry: NotifierRegistry) -> DeliveryFailedError | None:
    notifier = await registry.find("Alerts")
    assert notifier is not None
    try:
        await notifier.send(notification(recipient="ada@example.com"))
    except DeliveryFailedError as failure:
        return failure
    return None


async def sent(destination: dict[str, Any]) -> DeliveryFailedError | None:
    channel = Channel.model_validate({"name": "Alerts", "destination": destination})
    async with NotifierRegistry.open([channel], 10) as registry:
        failure = await sent_over(registry)
    if failure is None:
        return None
    assert classify(str(failure)) is failure.kind
    assert failure.of_channel
    assert not failure.permanent
    return failure


def sentence(failure: DeliveryFailedError | None) -> str:
    """The part of the failure's message that all channels have in common."""
    assert failure is not None
    # Apprise shows no host, because some of its URLs have a token in that place.
    return str(failure).removeprefix("Apprise could not deliver: ").replace("[redacted]", "127.0.0.1")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_private_authority_is_trusted_where_it_is_configured(
    authority: Authority, channel: str
) -> None:
    async with receiving(channel, authority.server()) as (destination, _):
        refused = await sent(destination)
        assert refused is not None
        assert refused.kind is FailureKind.TLS
        assert await sent(destination | {"ca_file": authority.ca_file}) is None


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_client_certificate_is_sent_on_request(authority: Authority, channel: str) -> None:
    async with receiving(channel, authority.server(client_certificate=True)) as (destination, _):
        trusting = destination | {"ca_file": authority.ca_file}
        assert await sent(trusting) is not None
        assert await sent(trusting | {"client_cert": authority.client_cert}) is None
        apart = {"client_cert": authority.client_cert_alone, "client_key": authority.client_key}
        assert await sent(trusting | apart) is None


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_missing_certificate_file_is_a_configuration_failure_until_it_exists(
    authority: Authority, tmp_path: Path, channel: str
) -> None:
    ca_file = tmp_path / "later.pem"
    async with receiving(channel, authority.server()) as (destination, _):
        configured = Channel.model_validate(
            {"name": "Alerts", "destination": destination | {"ca_file": str(ca_file)}}
        )
        async with NotifierRegistry.open([configured], 10) as registry:
            failure = await sent_over(registry)
            assert failure is not None
            assert failure.kind is classify(str(failure)) is FailureKind.SETUP
            assert not failure.permanent
            os.link(authority.ca_file, ca_file)
            assert await sent_over(registry) is None


@pytest.mark.parametrize("channel", [channel for channel in CHANNELS if channel != "email"])
async def test_connecting_has_a_timeout(channel: str) -> None:
    async with serving(silence) as address:
        url = f"https://{address}/"
        destination = (
            {"kind": "apprise", "url": f"jsons://{address}"}
            if channel == "apprise"
            else HTTP_CHANNELS[channel](url)
        )
        failure = await sent(destination | {"connect_timeout": "50ms"})
    assert sentence(failure).startswith("no connection to 127.0.0.1:")
    assert sentence(failure).endswith(" within 0.05 s")


async def test_the_greeting_of_a_relay_has_a_longer_timeout_than_connecting() -> None:
    async with relaying() as relay:
        relay.greeting_seconds = 0.15
        host, port = relay.address
        destination = {
            "kind": "email",
            "host": host,
            "port": port,
            "from_address": "a@b.c",
            "security": "none",
        }
        assert await sent(destination | {"connect_timeout": "50ms"}) is None


@pytest.mark.parametrize("channel", CHANNELS)
async def test_an_authority_without_key_identifiers_is_trusted_on_every_python_version(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    usual = ssl.create_default_context
    contexts: list[ssl.SSLContext] = []

    def strict(*arguments: Any, **options: Any) -> ssl.SSLContext:
        context = usual(*arguments, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        contexts.append(context)
        return context

    async with receiving(channel, authority.server()) as (destination, _):
        monkeypatch.setattr(ssl, "create_default_context", strict)
        assert await sent(destination | {"ca_file": authority.ca_file}) is None
    assert not any(context.verify_flags & ssl.VERIFY_X509_STRICT for context in contexts)
    assert contexts


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxying() as proxy:
        yield proxy


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_every_channel_uses_its_proxy(
    authority: Authority, proxy: Proxy, channel: str, encrypted: bool
) -> None:
    tls = authority.server() if encrypted else None
    async with receiving(channel, tls) as (destination, _):
        destination |= {"ca_file": authority.ca_file}
        with_user = proxy.url.replace("://", "://ada:correct-horse@")
        assert await sent(destination | {"proxy": with_user}) is None
        assert len(proxy.requests) == 1
        assert "proxy-authorization: basic ywrhomnvcnjly3qtag9yc2u=" in proxy.heads[0].lower()
        assert await sent(destination | {"proxy": "direct"}) is None
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_refusing_proxy_is_named_in_the_error(
    authority: Authority, proxy: Proxy, channel: str
) -> None:
    proxy.refuses = 407
    async with receiving(channel, authority.server()) as (destination, arrived):
        failure = await sent(destination | {"ca_file": authority.ca_file, "proxy": proxy.url})
    assert sentence(failure).startswith(
        f"the proxy {proxy.place} answered 407 when asked to connect to 127.0.0.1:"
    )
    assert arrived == []


@pytest.mark.parametrize("channel", CHANNELS)
async def test_an_unreachable_proxy_is_named_in_the_error(closed_port: int, channel: str) -> None:
    async with receiving(channel, None) as (destination, _):
        failure = await sent(destination | {"proxy": f"http://127.0.0.1:{closed_port}"})
    assert (
        sentence(failure) == f"the connection to the proxy 127.0.0.1:{closed_port} failed: Connection refused"
    )


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_second_address_of_a_receiver_is_tried(monkeypatch: pytest.MonkeyPatch, channel: str) -> None:
    async with receiving(channel, None) as (destination, _):
        port = destination.get("port") or int(re.findall(r"127\.0\.0\.1:([0-9]+)", str(destination))[0])
        usual = socket.getaddrinfo

        def both(host: str, given: int, *arguments: Any, **options: Any) -> list[Any]:
            if host != "two.example":
                return usual(host, given, *arguments, **options)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, given))
                for address in (silent, "127.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        moved = {
            name: value.replace("127.0.0.1", "two.example") if isinstance(value, str) else value
            for name, value in destination.items()
        }
        with silent_address(port) as silent:
            # Apprise tries them one after another.
            assert await sent(moved | ({"connect_timeout": "200ms"} if channel == "apprise" else {})) is None


@contextmanager
def silent_address(port: int) -> Iterator[str]:
    """An address that responds to no connection attempt, because its accept queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(_free_listener(port))
        host: str = listener.getsockname()[0]
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield host


def _free_listener(port: int) -> socket.socket:
    """A listener on a loopback address where the port is free."""
    for number in range(2, 255):
        with suppress(OSError):
            return socket.create_server((f"127.0.0.{number}", port), backlog=0)
    raise AssertionError(f"port {port} is taken everywhere")


async def test_a_silent_name_server_delays_only_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    looked_up: list[str] = []
    usual = socket.getaddrinfo

    def silent(host: str, *arguments: Any, **options: Any) -> Any:
        looked_up.append(host)
        if host.endswith("silent.example"):
            released.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return usual(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    resolver = Resolver(0.05)
    try:
        hanging = [asyncio.ensure_future(resolver.addresses("mail.silent.example", 25)) for _ in range(60)]
        await asyncio.sleep(0)
        # Less than the name server takes.
        async with asyncio.timeout(10):
            assert await resolver.addresses("localhost", 80)
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {
            f"[Errno {socket.EAI_AGAIN}] no answer from the name servers within 0.05 s"
        }
        assert looked_up.count("mail.silent.example") == 1
    finally:
        released.set()


async def test_a_name_server_timeout_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def silent(host: str, *arguments: Any, **options: Any) -> Any:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    try:
        for destination in (
            HTTP_CHANNELS["webhook"]("http://hooks.silent.example/"),
            {"kind": "email", "host": "mail.silent.example", "from_address": "a@b.c", "security": "none"},
        ):
            channel = Channel.model_validate({"name": "Alerts", "destination": destination})
            async with NotifierRegistry.open(
                [channel], 10, connect_timeout=timedelta(milliseconds=50)
            ) as registry:
                notifier = await registry.find("Alerts")
                assert notifier is not None
                with pytest.raises(DeliveryFailedError) as caught:
                    await notifier.send(notification(recipient="ada@example.com"))
            assert "could not be resolved: no answer from the name servers within 0.05 s" in str(caught.value)
            assert caught.value.kind is classify(str(caught.value)) is FailureKind.DNS
    finally:
        released.set()
