"""The e-mail addresses in a notification's recipient."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr

from certctl_mcp.config.domain_names import ascii_domain

_LOCAL = r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*"
_QUOTED_LOCAL = r'"(?:[^"\\]|\\.)*"'
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(
    rf"(?P<local>{_LOCAL}|{_QUOTED_LOCAL})@(?:(?P<domain>{_LABEL}(?:\.{_LABEL})*)|\[(?P<literal>[0-9A-Za-z:.]+)\])"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.){0,254}"')
_ANGLE = re.compile("[<>]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.){0,254}"|<[^<>]*>|[,;]|[^",;<>]+|.', re.DOTALL)

_LONGEST_LOCAL = 64
_LONGEST_ADDRESS = 254


class MalformedRecipientError(ValueError):
    """No part of the recipient is an address. The message quotes them."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """The parts of a notification's recipient, without duplicates."""

    addresses: tuple[str, ...]
    """The addresses, with international domains in ASCII form."""
    malformed: tuple[str, ...]
    """The parts that are not addresses, as written."""


def parse_recipients(recipient: str) -> Recipients:
    """One address or several, separated by commas or semicolons, with or without a display name.

    Raises:
        MalformedRecipientError: there is no address in it.
    """
    addresses: list[str] = []
    malformed: list[str] = []
    for part in _parts(recipient):
        address = _address(part)
        if address is None:
            malformed.append(part)
        else:
            addresses.append(address)
    if addresses:
        return Recipients(tuple(dict.fromkeys(addresses)), tuple(dict.fromkeys(malformed)))
    if malformed:
        raise MalformedRecipientError(f"not an e-mail address: {', '.join(map(repr, malformed))}")
    raise MalformedRecipientError("the notification has no recipient")


def sender_address(from_address: str) -> str:
    """The bare address of the sender, with its domain in ASCII."""
    local, _, domain = parseaddr(from_address)[1].rpartition("@")
    return f"{local}@{ascii_domain(domain)}"


def split_address(address: str) -> tuple[str, str]:
    """The local part, without quotes, and the domain of a parsed address."""
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local, domain


def _parts(recipient: str) -> Iterator[str]:
    part = ""
    for token in _TOKEN.findall(recipient):
        if token in (",", ";"):
            yield from _nonblank(part)
            part = ""
        else:
            part += token
    yield from _nonblank(part)


def _nonblank(part: str) -> Iterator[str]:
    if part := part.strip():
        yield part


def _address(text: str) -> str | None:
    if not text.isprintable() or len(text) > 4 * _LONGEST_ADDRESS:
        return None
    name, opened, address = text.rpartition("<")
    if opened and address.endswith(">") and not _ANGLE.search(_QUOTED.sub("", name)):
        address = address.removesuffix(">").strip()
    else:
        address = text
    match = _ADDRESS.fullmatch(address)
    if match is None or len(match["local"]) > _LONGEST_LOCAL or len(address) > _LONGEST_ADDRESS:
        return None
    try:
        domain = f"[{_literal(match['literal'])}]" if match["literal"] else ascii_domain(match["domain"])
    except ValueError:
        return None
    return f"{match['local']}@{domain}"


def _literal(text: str) -> str:
    """An IP address as it stands in an address literal, such as `192.0.2.1` or `IPv6:2001:db8::1`."""
    if text.startswith("IPv6:"):
        return f"IPv6:{ipaddress.IPv6Address(text.removeprefix('IPv6:'))}"
    return str(ipaddress.IPv4Address(text))
