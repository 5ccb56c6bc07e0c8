"""TCP connections that try every address of a host, directly or through a proxy."""

import asyncio
import base64
import socket
from urllib.parse import unquote, urlsplit

import h11
from aiohappyeyeballs import start_connection

from certctl_mcp.notifiers.network.name_resolution import Resolver
from certctl_mcp.notifiers.network.os_errors import os_reason

_NEXT_ADDRESS_SECONDS = 0.25
"""After this long without a connection, the next address is tried in parallel (RFC 8305)."""

_LONGEST_HEAD = 16 * 1024


class ProxyError(Exception):
    """The proxy can't be reached, or refuses. The message says which, without its credentials."""


async def connect(
    resolver: Resolver, host: str, port: int, proxy: str | None, seconds: float
) -> socket.socket:
    """A connected, non-blocking socket to `host`.

    Raises:
        TimeoutError: not connected within `seconds`.
        OSError: no address accepts a connection; `socket.gaierror`: the name has no address.
        ProxyError: the proxy fails.
    """
    if proxy is None:
        return await _connect(resolver, host, port, seconds)
    parts = urlsplit(proxy)
    assert parts.hostname is not None
    proxy_port = parts.port or 80
    place = f"{parts.hostname}:{proxy_port}"
    try:
        sock = await _connect(resolver, parts.hostname, proxy_port, seconds)
    except TimeoutError:
        raise ProxyError(f"no connection to the proxy {place} within {seconds:g} s") from None
    except OSError as error:
        raise ProxyError(f"the connection to the proxy {place} failed: {os_reason(error)}") from None
    try:
        async with asyncio.timeout(seconds):
            status = await _tunnel(sock, f"{host}:{port}", unquote(parts.netloc.rpartition("@")[0]))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError | h11.RemoteProtocolError):
            raise ProxyError(f"the proxy {place} did not answer as a proxy does") from None
        raise
    if not 200 <= status < 300:
        sock.close()
        raise ProxyError(f"the proxy {place} answered {status} when asked to connect to {host}:{port}")
    return sock


async def _connect(resolver: Resolver, host: str, port: int, seconds: float) -> socket.socket:
    addresses = await resolver.addresses(host, port)
    async with asyncio.timeout(seconds):
        return await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)


async def _tunnel(sock: socket.socket, target: str, credentials: str) -> int:
    """Ask the proxy for a tunnel; returns the status of its response."""
    loop = asyncio.get_running_loop()
    headers = [("Host", target)]
    if credentials:
        encoded = base64.b64encode(credentials.encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {encoded}"))
    conversation = h11.Connection(h11.CLIENT)
    request = conversation.send(h11.Request(method="CONNECT", target=target, headers=headers))
    await loop.sock_sendall(sock, request or b"")
    # One byte at a time, because whatever follows the response is the receiver's first line.
    for _ in range(_LONGEST_HEAD):
        conversation.receive_data(await loop.sock_recv(sock, 1))
        event = conversation.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
    raise h11.RemoteProtocolError("the answer has no end")
