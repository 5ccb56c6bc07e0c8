"""Was just this shown before it is done? A short token says so, bound to what was previewed and to how much.

The token holds the number and the moment of the preview, sealed together with the subject. It holds once, and
within one process, whose key nobody else has. Remembered are only those that were used.
"""

import hmac
import re
import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from certctl_mcp.services.errors import RequestError

LIFETIME = timedelta(minutes=10)

_SEAL = 10
"""Bytes: what can't be guessed within the lifetime."""

_TOKEN = re.compile(r"([0-9]{1,12})-([0-9a-f]{1,11})-([a-z2-7]{16})", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ConfirmationError(RequestError):
    """The token does not confirm this. The message says why."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a token says before it is verified."""

    count: int
    moment: datetime
    """When the preview was made, to the millisecond."""
    seal: str


def moment_of_preview(now: datetime) -> datetime:
    """`now`, as exact as a token holds it, and not before it."""
    return _EPOCH + ((now - _EPOCH) // _MILLISECOND + 1) * _MILLISECOND


def read_token(token: str, now: datetime) -> Confirmation:
    """Raises: ConfirmationError: it is no token, or too old."""
    found = _TOKEN.fullmatch(token.strip())
    if found is None:
        raise ConfirmationError("confirmation is not one that a preview gave")
    moment = _EPOCH + int(found[2], 16) * _MILLISECOND
    if not moment - _MILLISECOND <= now < moment + LIFETIME:
        raise ConfirmationError("confirmation is older than 10 minutes")
    return Confirmation(int(found[1]), moment, found[3])


class Confirmations:
    """Gives tokens, and tells those it gave from others."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._spent: dict[str, datetime] = {}

    def token(self, subject: str, count: int, moment: datetime) -> str:
        """`moment` is one of `moment_of_preview`."""
        return f"{count}-{(moment - _EPOCH) // _MILLISECOND:x}-{self._seal(subject, count, moment)}"

    def verify(self, confirmation: Confirmation, subject: str) -> None:
        """Raises: ConfirmationError: it was given for something else, or has been used."""
        seal = self._seal(subject, confirmation.count, confirmation.moment)
        if not hmac.compare_digest(seal, confirmation.seal):
            raise ConfirmationError("confirmation was given for other arguments, or by an earlier server")
        if seal in self._spent:
            raise ConfirmationError("confirmation has been used, and holds once")

    def spend(self, confirmation: Confirmation) -> None:
        """What it confirmed has been done. What it matches later on needs consent of its own."""
        self._spent = {
            seal: moment for seal, moment in self._spent.items() if moment + LIFETIME > confirmation.moment
        }
        self._spent[confirmation.seal] = confirmation.moment

    def _seal(self, subject: str, count: int, moment: datetime) -> str:
        sealed = f"{count} {moment.isoformat()} {subject}".encode(errors="surrogatepass")
        return b32encode(hmac.digest(self._key, sealed, "sha256")[:_SEAL]).decode().lower()
