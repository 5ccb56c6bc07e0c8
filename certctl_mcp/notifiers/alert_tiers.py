"""The severity of an alert from certctl: the tier of the threshold in its message."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping

from certctl_mcp.config.incidents import Priority, Severity
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.notifier import HttpNotifier, Post
from storage.alert_tiers import AlertTier, threshold_of
from storage.models import Notification

SEVERITIES: Mapping[AlertTier, Severity] = {
    AlertTier.INFORMATIONAL: "info",
    AlertTier.WARNING: "warning",
    AlertTier.CRITICAL: "critical",
}
PRIORITIES: Mapping[AlertTier, Priority] = {
    AlertTier.INFORMATIONAL: "P5",
    AlertTier.WARNING: "P3",
    AlertTier.CRITICAL: "P1",
}

_TIERS = {
    30: AlertTier.INFORMATIONAL,
    14: AlertTier.WARNING,
    7: AlertTier.WARNING,
    0: AlertTier.CRITICAL,
}
"""certctl's own tiers, by days. Its renewal policies can override them."""

PolicyTier = Callable[[Notification, int], Awaitable[AlertTier | None]]
"""Returns the tier of a threshold in the certificate's renewal policy; None if it has none."""


class IncidentNotifier(HttpNotifier):
    """A channel whose incidents have a severity."""

    limits_itself = False
    """A send may have to wait for the tier."""

    def __init__(
        self, endpoint: Endpoint, content: ContentWriter | None, policy_tier: PolicyTier | None
    ) -> None:
        super().__init__(endpoint, content)
        self._policy_tier = policy_tier

    @abstractmethod
    def write_incident(self, notification: Notification, tier: AlertTier | None) -> Post:
        """The notification in this channel's format. `tier`: None if only the channel's settings decide."""

    def write(self, notification: Notification) -> Post:
        return self.write_incident(notification, _usual_tier(threshold_of(notification)))

    async def send(self, notification: Notification) -> None:
        threshold = threshold_of(notification)
        tier = _usual_tier(threshold)
        if threshold is not None and self._policy_tier is not None:
            tier = await self._policy_tier(notification, threshold) or tier
        post = self.write_incident(notification, tier)
        await self._endpoint.post(post.body, post.headers, suffix=post.suffix)


def _usual_tier(threshold: int | None) -> AlertTier | None:
    return None if threshold is None else _TIERS.get(threshold)
