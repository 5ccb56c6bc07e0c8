"""Confirmations: short tokens that prove that exactly this action was previewed to exactly this caller.

A token contains the number and the time of the preview, sealed together with the action and the caller. It is
valid once, for ten minutes, and only within the process that has the key. Only used tokens are remembered.
"""

import hmac
import re
import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from certctl_mcp.services.errors import RequestError

LIFETIME = timedelta(minutes=10)

_SEAL = 10
"""Bytes; enough that it can't be guessed within the lifetime."""

_TOKEN = re.compile(r"([0-9]{1,12})-([0-9a-f]{1,11})-([a-z2-7]{16})", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ConfirmationError(RequestError):
    """The token is not valid for this action. The message says why."""


class Purpose(StrEnum):
    """Why a token was issued."""

    PREVIEW = "preview"
    REPLACES_QUESTION = "replaces question"
    """The client can ask its user, but the question failed."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The contents of a token that has not been verified yet."""

    count: int
    moment: datetime
    """When the preview was made, to the millisecond."""
    seal: str


def moment_of_preview(now: datetime) -> datetime:
    """`now` rounded up to the precision of a token."""
    return _EPOCH + ((now - _EPOCH) // _MILLISECOND + 1) * _MILLISECOND


def read_token(token: str, now: datetime) -> Confirmation:
    """Raises: ConfirmationError: it is not a token, or it has expired."""
    found = _TOKEN.fullmatch(token.strip())
    if found is None:
        raise ConfirmationError("confirmation is not one that a preview returned")
    moment = _EPOCH + int(found[2], 16) * _MILLISECOND
    if not moment - _MILLISECOND <= now < moment + LIFETIME:
        raise ConfirmationError("confirmation is older than 10 minutes")
    return Confirmation(int(found[1]), moment, found[3])


class Confirmations:
    """Issues tokens and verifies them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._spent: dict[str, datetime] = {}

    def token(
        self,
        subject: str,
        count: int,
        moment: datetime,
        *,
        caller: str,
        purpose: Purpose = Purpose.PREVIEW,
    ) -> str:
        """A token that only `caller` can use. `moment` comes from `moment_of_preview`."""
        seal = self._seal(subject, count, moment, caller, purpose)
        return f"{count}-{(moment - _EPOCH) // _MILLISECOND:x}-{seal}"

    def verify(self, confirmation: Confirmation, subject: str, *, caller: str) -> Purpose:
        """Why the token was issued.

        Raises:
            ConfirmationError: it was issued for something else or to someone else, or has been used.
        """
        for purpose in Purpose:
            seal = self._seal(subject, confirmation.count, confirmation.moment, caller, purpose)
            if hmac.compare_digest(seal, confirmation.seal):
                if seal in self._spent:
                    raise ConfirmationError("confirmation has been used; each is valid once")
                return purpose
        raise ConfirmationError(
            "confirmation was issued for other arguments, to another caller, or by an earlier server"
        )

    def spend(self, confirmation: Confirmation) -> None:
        """The action is done, so the token is used up. Notifications that match later need a new
        confirmation."""
        self._spent = {
            seal: moment for seal, moment in self._spent.items() if moment + LIFETIME > confirmation.moment
        }
        self._spent[confirmation.seal] = confirmation.moment

    def _seal(self, subject: str, count: int, moment: datetime, caller: str, purpose: Purpose) -> str:
        parts = (count, moment.isoformat(), purpose.value, len(caller), caller, subject)
        sealed = " ".join(map(str, parts)).encode(errors="surrogatepass")
        return b32encode(hmac.digest(self._key, sealed, "sha256")[:_SEAL]).decode().lower()
