"""The allowed recipients of mail, which keep an assistant from sending mail to anyone in the world.

Patterns that the operator sets apply to every caller. Without patterns, an assistant may send mail only to
the sender's own domain, and the operator's own programs to any address.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from certctl_mcp.config.destinations import Channel, EmailDestination
from certctl_mcp.notifiers.recipients import MalformedRecipientError, parse_recipients, sender_address


class RecipientNotAllowedError(Exception):
    """Mail to this address is not allowed. The message says what is allowed, without quoting the address."""


class AllowedRecipients:
    """The patterns of every channel that sends mail."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._destinations = {
            channel.name: channel.destination
            for channel in channels
            if isinstance(channel.destination, EmailDestination)
        }

    def check(self, channel: str, recipient: str, *, assistant: bool) -> None:
        """A recipient that is not an address is allowed, because nothing is sent to it.

        Raises:
            RecipientNotAllowedError: one of the recipient's addresses is not allowed.
        """
        destination = self._destinations.get(channel)
        if destination is None:
            return
        patterns = destination.recipients
        if not patterns:
            if not assistant:
                return
            patterns = (f"*@{sender_address(destination.from_address).rpartition('@')[2]}",)
        try:
            addresses = parse_recipients(recipient).addresses
        except MalformedRecipientError:
            return
        if not all(_matches(address, patterns) for address in addresses):
            raise RecipientNotAllowedError(
                f"mail over {channel} may only go to {', '.join(patterns)} (CERTCTL_SMTP_RECIPIENTS, or "
                "recipients in the channel's settings, allows more)"
            )


def _matches(address: str, patterns: Iterable[str]) -> bool:
    local, _, domain = address.rpartition("@")
    # A pattern's star stands for a whole local part or for labels of a domain, never for both.
    for pattern in patterns:
        pattern_local, _, pattern_domain = pattern.lower().rpartition("@")
        if fnmatchcase(local.lower(), pattern_local) and fnmatchcase(domain.lower(), pattern_domain):
            return True
    return False
