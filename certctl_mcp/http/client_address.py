"""The client address that limits and the log use."""

import ipaddress
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

_IPV6_PREFIX = 64
"""The number of bits of an IPv6 address that identify a site, which can choose the others freely."""


def client_address(scope: MutableMapping[str, Any]) -> str:
    """The group of the address from which a request came."""
    client = scope.get("client")
    return address_group(client[0]) if client else "unknown"


def address_group(host: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def in_networks(networks: Sequence[str]) -> Callable[[str], bool]:
    """A test whether an address is in one of `networks`, each an address or a CIDR block."""
    parsed = [ipaddress.ip_network(network) for network in networks]

    def contains(host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in parsed)

    return contains if parsed else lambda _: False
