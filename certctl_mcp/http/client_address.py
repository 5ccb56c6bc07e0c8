"""The client address that limits and the log use."""

import ipaddress
from collections.abc import MutableMapping
from typing import Any

_IPV6_PREFIX = 64
"""Bits of an IPv6 address that identify a site, which may choose the others freely."""


def client_address(scope: MutableMapping[str, Any]) -> str:
    """The peer's IPv4 address, or the /64 network of its IPv6 address."""
    client = scope.get("client")
    if not client:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)
