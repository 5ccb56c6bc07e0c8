"""The protocol of notifiers, and the error for a failed delivery."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol, runtime_checkable

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.text.redaction import redact_error
from storage.models import Notification


class DeliveryFailedError(Exception):
    """An attempt that did not deliver. The message explains why, without secrets.

    `permanent`: no later attempt can succeed (a malformed recipient, a refused field), so the notification
    goes straight to the dead-letter queue.
    `retry_after`: how long the receiver asked us to wait; None if it gave no time.
    `told_to_wait`: the receiver refuses everything for now (429, 503 with Retry-After, too many
    connections): not a failure of this notification.
    `kind`: what went wrong; None if the notifier doesn't say, as is possible with those of other packages.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        told_to_wait: bool = False,
        kind: FailureKind | None = None,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.told_to_wait = told_to_wait
        self.kind = kind

    @property
    def of_channel(self) -> bool:
        """Whether the channel failed rather than this notification: no connection, credentials, 5xx."""
        return self.kind is not None and self.kind.of_channel

    @property
    def channel_works(self) -> bool:
        """Whether the receiver answered, and refused only this notification."""
        return self.kind is not None and self.kind.is_answer_to_one


@runtime_checkable
class Notifier(Protocol):
    """Sends notifications to one configured destination.

    An instance serves concurrent sends and lives as long as the process.
    """

    async def send(self, notification: Notification) -> None:
        """Deliver once. Returning means that the receiver has accepted the notification.

        The receiver gets `notification.id` as the idempotency key in the form it understands. The caller
        enforces the timeout: a cancelled send must leave nothing running.

        Raises:
            DeliveryFailedError: it was not delivered; the error says whether a retry can help.
        """
        ...

    async def aclose(self) -> None:
        """Close connections. Called once, when no send is in progress."""
        ...


def limits_itself(notifier: Notifier) -> bool:
    """Whether every send ends within the send timeout by itself, so that the caller needs no timer for it.

    A notifier declares this with an attribute of this name; those of other packages needn't have it.
    """
    return getattr(notifier, "limits_itself", False) is True


@runtime_checkable
class PreviewedNotifier(Notifier, Protocol):
    """A notifier that can show what it would send."""

    def preview(self, notification: Notification) -> str:
        """What would be sent, without secrets. Nothing is sent.

        Raises:
            DeliveryFailedError: it can't be sent like this.
        """
        ...


def delivery_failed(
    message: str,
    confidential: Iterable[str],
    *,
    kind: FailureKind | None = None,
    permanent: bool | None = None,
    retry_after: timedelta | None = None,
    told_to_wait: bool = False,
) -> DeliveryFailedError:
    """The failure, with `confidential` and anything that looks like a secret removed from its message.

    It is permanent if its kind is, unless `permanent` says otherwise. Raise it `from None`: the original
    error may contain secrets, and a traceback would print them.
    """
    return DeliveryFailedError(
        redact_error(message, confidential),
        permanent=(kind is not None and kind.is_permanent) if permanent is None else permanent,
        retry_after=retry_after,
        told_to_wait=told_to_wait,
        kind=kind,
    )
