"""Where does a request come from? The address that counts for limits and the log."""

import ipaddress
from collections.abc import MutableMapping
from typing import Any

_ONE_SITE = 64
"""Bits of an IPv6 address that one site has; the rest it may choose at will."""


def address_of(scope: MutableMapping[str, Any]) -> str:
    """The peer's; of IPv6 the network, for one peer has as many addresses as it likes."""
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
            return str(ipaddress.ip_network((address, _ONE_SITE), strict=False))
    return str(address)
