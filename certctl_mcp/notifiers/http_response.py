"""What does an HTTP answer mean for a notification? Delivered, try again, or never."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from certctl_mcp.notifiers.excerpt import excerpt, without_markup

Verdicts = Mapping[int, str]
"""Statuses after which no later attempt can succeed, each with the reason.

Any 2xx is a success. Every other status is worth another attempt: a server may recover, and what looks
final (401, 403, 404) is put right by the operator every day, while the notification waits.
"""

PERMANENT: dict[int, str] = {
    410: "the receiver says the endpoint is gone for good",
    413: "the receiver takes no message of this size",
}
"""What holds for every receiver; 410 is what the Standard Webhooks specification says it with. A channel
adds the statuses that its API documents for a message it will never take."""

_KNOWN_STATUSES = frozenset(HTTPStatus)

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal: everything but 2xx."""

    status: int
    content_type: str
    encoded: bool
    """The body is compressed, against what was asked for; it is not unpacked."""
    start: bytes
    """The first part of the body."""

    def sentence(self, host: str, verdicts: Verdicts, confidential: Iterable[str]) -> str:
        """Such as `hooks.slack.com answered 404 Not Found: channel_not_found`."""
        phrase = HTTPStatus(self.status).phrase if self.status in _KNOWN_STATUSES else ""
        sentence = f"{host} answered {self.status} {phrase}".rstrip()
        if self.status in verdicts:
            sentence += f" ({verdicts[self.status]})"
        said = self._said(confidential)
        return f"{sentence}: {said}" if said else sentence

    def _said(self, confidential: Iterable[str]) -> str:
        if self.encoded:
            return ""
        text = self.start.decode("utf-8", "replace")
        return excerpt(without_markup(text) if "html" in self.content_type else text, confidential)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a `Retry-After` header asks for, in seconds or as a date; None where it says nothing."""
    if not value:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=float(value))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date that names no zone is in UTC, as HTTP prescribes for all of them.
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(aware - now, timedelta(0))
