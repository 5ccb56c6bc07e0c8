"""What have the HTTP channels in common? One POST a notification; a channel adds how it is written."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from certctl_mcp.notifiers.http import Endpoint
from storage.models import Notification

IDEMPOTENCY_HEADER = "Idempotency-Key"
"""For receivers that define no form of their own; one that does not know it passes over it."""


@dataclass(frozen=True, slots=True)
class Post:
    """A notification in the words of one channel."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpNotifier(ABC):
    """Delivers by one POST to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @abstractmethod
    def write(self, notification: Notification) -> Post:
        """The notification as this channel takes it."""

    async def send(self, notification: Notification) -> None:
        post = self.write(notification)
        await self._endpoint.post(post.body, post.headers)

    async def aclose(self) -> None:  # noqa: B027 - every channel is free to have nothing to give back
        """Nothing of its own is open: the connections belong to all HTTP channels."""
