"""How is a notification carried to a channel? The protocol every notifier follows, and how it fails."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol, runtime_checkable

from certctl_mcp.text.redaction import redact, truncate
from storage.models import Notification


class DeliveryFailedError(Exception):
    """An attempt that did not deliver. The message says why, for a person, with no secret in it.

    `permanent`: no later attempt can succeed (a malformed recipient, HTTP 410), so the notification goes
    straight to the dead letters. `retry_after`: the wait that the remote end asked for.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


@runtime_checkable
class Notifier(Protocol):
    """Carries notifications to one configured destination.

    An instance serves many sends at a time and lives as long as the process.
    """

    async def send(self, notification: Notification) -> None:
        """Deliver once. Returning means the remote end has accepted it.

        The receiver is given `notification.id` as the idempotency key in the form it understands. The
        caller bounds the time: a send that is cancelled must leave nothing running.

        Raises:
            DeliveryFailedError: it was not delivered, and whether trying again can help.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections. Called once, when no send is under way."""
        ...


def delivery_failed(
    message: str,
    confidential: Iterable[str],
    *,
    permanent: bool = False,
    retry_after: timedelta | None = None,
) -> DeliveryFailedError:
    """The failure with `confidential` and everything like a secret removed from its message.

    Raise it `from None`: what it came from may hold the secrets, and a traceback would print them.
    """
    return DeliveryFailedError(
        truncate(redact(message, confidential)), permanent=permanent, retry_after=retry_after
    )
