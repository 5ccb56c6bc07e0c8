"""The e-mail addresses in a notification's recipient."""

import re

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)")

_LONGEST_ADDRESS = 254


class MalformedRecipientError(ValueError):
    """A recipient that is not an address. The message names it."""


def parse_recipients(recipient: str) -> tuple[str, ...]:
    """The addresses in `recipient`, which is one address or several separated by commas, without duplicates.

    An international domain is returned in its ASCII form.

    Raises:
        MalformedRecipientError: one of them is not an address, or there is none.
    """
    written = [part.strip() for part in recipient.split(",")]
    addresses = tuple(dict.fromkeys(_address(part) for part in written if part))
    if not addresses:
        raise MalformedRecipientError("the notification has no recipient")
    return addresses


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or len(text) > _LONGEST_ADDRESS:
        raise MalformedRecipientError(f"{text!r} is no e-mail address")
    try:
        domain = match["domain"].encode("idna").decode("ascii")
    except UnicodeError:
        raise MalformedRecipientError(f"{text!r} is no e-mail address") from None
    return f"{match['local']}@{domain}"
