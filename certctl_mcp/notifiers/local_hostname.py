"""The name with which we greet a mail relay (EHLO)."""

import asyncio
import ipaddress
import socket

from certctl_mcp.notifiers.name_resolution import in_own_thread

_LOOK_UP_SECONDS = 2.0


class LocalHostname:
    """This host's full name, looked up once; its address where it has no full name (RFC 5321, 4.1.3)."""

    def __init__(self) -> None:
        self._name: asyncio.Future[str] | None = None

    async def greeting(self, sock: socket.socket) -> str:
        """For a session over `sock`."""
        if self._name is None:
            self._name = in_own_thread(socket.getfqdn, "look up this host's name")
        name = ""
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                name = await asyncio.shield(self._name)
        except (TimeoutError, OSError, UnicodeError):
            pass
        usable = name.isascii() and "." in name and not name.lower().startswith("localhost")
        return name if usable else _address_literal(sock.getsockname()[0])


def _address_literal(address: str) -> str:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"
