"""Apprise: any of the services that the library knows, by its URL."""

import anyio.to_thread
import apprise

from certctl_mcp.config.destinations import AppriseDestination
from certctl_mcp.notifiers.base import delivery_failed
from certctl_mcp.notifiers.excerpt import excerpt, single_line
from certctl_mcp.notifiers.idempotency import idempotency_key
from storage.models import Notification


class AppriseNotifier:
    """Sends through Apprise, in a thread, within the time-outs of its URL (`cto`, `rto`; 4 s each).

    A thread can't be stopped: a send that is cancelled ends when the request under way does. Apprise has
    no idempotency key, so the text names the notification, and a reader recognises a repeat.

    Raises:
        ValueError: Apprise knows no such service, or the URL lacks something.
    """

    def __init__(self, destination: AppriseDestination) -> None:
        self._confidential = destination.confidential
        # Its redirects would be followed to any host.
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
        if not self._apprise.add(destination.url.get_secret_value()):
            raise ValueError("Apprise can't use the URL; its pages say what the service needs")

    async def send(self, notification: Notification) -> None:
        failure = await anyio.to_thread.run_sync(self._notify, notification)
        if failure is not None:
            raise delivery_failed(failure, self._confidential)

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    def _notify(self, notification: Notification) -> str | None:
        """None when delivered, else why not."""
        result = self._apprise.notify(
            title=single_line(notification.type),
            body=f"{notification.message}\n\nNotification: {idempotency_key(notification)}",
            body_format=apprise.NotifyFormat.TEXT.value,
        )
        if result:
            return None
        said = excerpt("; ".join(entry.message for entry in result.logs()), self._confidential)
        return f"Apprise could not deliver: {said or 'it does not say why'}"
