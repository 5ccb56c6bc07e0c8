"""The name with which we greet a mail relay (EHLO)."""

import asyncio
import ipaddress
import socket

from certctl_mcp.notifiers.own_thread import in_own_thread

_LOOK_UP_SECONDS = 2.0
"""The timeout of a lookup; sessions that find it still in progress don't wait that long again."""

_LOOK_UP_AGAIN_SECONDS = 60.0


class LocalHostname:
    """This host's full name, looked up once, or its address as long as there is no full name (RFC 5321,
    4.1.3)."""

    def __init__(self) -> None:
        self._name: asyncio.Future[str] | None = None
        self._begun = 0.0

    async def greeting(self, sock: socket.socket) -> str:
        """The name for a session over `sock`."""
        return await self._usable_name() or _address_literal(sock.getsockname()[0])

    async def _usable_name(self) -> str:
        """The name; empty if there is none or the lookup takes too long."""
        now = asyncio.get_running_loop().time()
        if self._name is None or (self._has_none and now >= self._begun + _LOOK_UP_AGAIN_SECONDS):
            self._begun = now
            self._name = in_own_thread(_full_name, "look up this host's name")
        if not self._name.done():
            await asyncio.wait([self._name], timeout=max(0.0, self._begun + _LOOK_UP_SECONDS - now))
        return self._name.result() if self._name.done() else ""

    @property
    def _has_none(self) -> bool:
        return self._name is not None and self._name.done() and not self._name.result()


def _full_name() -> str:
    try:
        name = socket.getfqdn()
    except (OSError, UnicodeError):
        return ""
    usable = name.isascii() and "." in name and not name.lower().startswith("localhost")
    return name if usable else ""


def _address_literal(address: str) -> str:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"
