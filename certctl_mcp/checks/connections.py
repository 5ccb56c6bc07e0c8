"""Checks whether a channel's receiver can be reached: name resolution, proxy, connection and TLS. Nothing is
sent.

An HTTP receiver gets no request, and a mail relay neither a login nor a mail: only a test notification can
show whether the credentials are right.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiosmtplib import SMTP

from certctl_mcp.checks.results import CheckResult, fail, ok, warn
from certctl_mcp.config.destinations import Channel, EmailDestination, NetworkDestination
from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.network.name_resolution import Resolver
from certctl_mcp.notifiers.network.os_errors import os_reason
from certctl_mcp.notifiers.network.tcp import ProxyError, connect
from certctl_mcp.notifiers.network.tls import client_context
from certctl_mcp.notifiers.smtp.failures import SessionError, session_failed
from certctl_mcp.notifiers.smtp.local_hostname import LocalHostname
from certctl_mcp.text.untrusted import escape_hidden

CONNECT_SECONDS = 4.0
"""The timeout for connecting, and again for what follows. A channel's own connect timeout may be shorter."""

_NETWORK = "check host, port and firewall; a proxy is set with `proxy` or HTTPS_PROXY"
_HELP: Mapping[FailureKind | None, str] = {
    FailureKind.DNS: "check the host name and this machine's name servers",
    FailureKind.CONNECTION: _NETWORK,
    FailureKind.TIMEOUT: _NETWORK,
    FailureKind.TLS: "set `ca_file` to the receiver's authority, or have its certificate corrected",
    FailureKind.PROXY: 'check the proxy and what it allows; `proxy = "direct"` connects without one',
    FailureKind.SETUP: "check host, port and certificate files",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that was tested."""

    seconds: float
    tls: str | None
    """The protocol and the certificate; None if it is not encrypted."""


async def check_connection(channel: Channel) -> CheckResult:
    name = f"channel {escape_hidden(channel.name)}"
    destination = channel.destination
    if not isinstance(destination, NetworkDestination):
        return ok(name, f"{destination.description}: nothing can be checked without sending")
    seconds = min(CONNECT_SECONDS, destination.connect_timeout.total_seconds())
    try:
        if isinstance(destination, EmailDestination):
            connection = await _connect_to_relay(destination, seconds)
        else:
            connection = await _connect_to_receiver(destination, seconds)
    except DeliveryFailedError as failure:
        result = fail(name, str(failure), _HELP.get(failure.kind))
        return result.model_copy(update={"quotes_receiver": True})
    proxy = "" if destination.proxy_url is None else f" by the proxy {_host_and_port(destination.proxy_url)}"
    found = f"{destination.description}: connected in {connection.seconds * 1000:.0f} ms{proxy}"
    if connection.tls is not None:
        return ok(name, f"{found}, {connection.tls}")
    if _is_local(destination):
        return ok(name, found)
    return warn(name, f"{found}, not encrypted", "use https, or TLS for mail: alerts can be read on the way")


async def _connect_to_receiver(destination: NetworkDestination, seconds: float) -> Connection:
    """Raises: DeliveryFailedError."""
    url = urlsplit(destination.address)
    encrypted = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if encrypted else 80)
    proxy = destination.proxy_url
    if proxy is not None and not encrypted:
        # A plain HTTP request goes to the proxy itself, without a tunnel.
        parts = urlsplit(proxy)
        host, port, proxy = parts.hostname or "", parts.port or 80, None
    started = time.monotonic()
    try:
        context = _context(destination) if encrypted else None
        sock = await connect(Resolver(seconds), host, port, proxy, seconds)
        tls = None if context is None else await _handshake(sock, host, context, seconds)
        if context is None:
            sock.close()
    except ProxyError as error:
        raise delivery_failed(str(error), destination.confidential, kind=FailureKind.PROXY) from None
    except OSError as error:
        raise session_failed(
            error, f"{host}:{port}", destination.confidential, connect=seconds, total=seconds
        ) from None
    return Connection(time.monotonic() - started, tls)


def _context(destination: NetworkDestination) -> ssl.SSLContext:
    """Raises: DeliveryFailedError: a file can't be used."""
    try:
        return client_context(destination)
    except OSError as error:
        problem = f"its certificate files can't be used: {os_reason(error)}"
        raise delivery_failed(problem, destination.confidential, kind=FailureKind.SETUP) from None


async def _handshake(sock: socket.socket, host: str, context: ssl.SSLContext, seconds: float) -> str:
    """Start TLS on the connection and close it. Raises: OSError."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    described = _describe_tls(writer.get_extra_info("ssl_object"))
    writer.transport.abort()
    return described


async def _connect_to_relay(destination: EmailDestination, seconds: float) -> Connection:
    """Greet a mail relay, start TLS as configured, and quit. Raises: DeliveryFailedError."""
    started = time.monotonic()
    relay = f"{destination.host}:{destination.port}"
    try:
        context = None if destination.security == "none" else _context(destination)
        sock = await connect(
            Resolver(seconds), destination.host, destination.port, destination.proxy_url, seconds
        )
        session = SMTP(
            hostname=destination.host,
            sock=sock,
            local_hostname=destination.ehlo_name or await LocalHostname().greeting(sock),
            timeout=seconds,
            use_tls=destination.security == "tls",
            start_tls=destination.security == "starttls",
            tls_context=context,
        )
        try:
            async with asyncio.timeout(seconds):
                await session.connect()
                await session.ehlo()
                transport = session.transport
                encrypted = None if transport is None else transport.get_extra_info("ssl_object")
                await session.quit()
        finally:
            session.close()
            sock.close()
    except ProxyError as error:
        raise delivery_failed(str(error), destination.confidential, kind=FailureKind.PROXY) from None
    except SessionError as error:
        raise session_failed(error, relay, destination.confidential, connect=seconds, total=seconds) from None
    return Connection(time.monotonic() - started, None if encrypted is None else _describe_tls(encrypted))


def _describe_tls(encrypted: ssl.SSLObject) -> str:
    """The TLS version of a connection, and how long the receiver's certificate is valid."""
    certificate = encrypted.getpeercert() or {}
    until = certificate.get("notAfter")
    if not isinstance(until, str):
        return str(encrypted.version())
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)
    return f"{encrypted.version()}, certificate valid until {expires:%Y-%m-%d}"


def _is_local(destination: NetworkDestination) -> bool:
    host = urlsplit(destination.address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_and_port(url: str) -> str:
    """Host and port."""
    return urlsplit(url).netloc.rpartition("@")[2]
