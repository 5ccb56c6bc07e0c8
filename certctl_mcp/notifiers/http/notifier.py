"""The base of the HTTP channels: one POST per notification; each channel adds its own format."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field

from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.http.endpoint import Endpoint
from storage.models import Notification
from storage.structs import struct

IDEMPOTENCY_HEADER = "Idempotency-Key"
"""The header for receivers without their own kind of key; one that does not know it ignores it."""


@struct
class Post:
    """A notification in the format of one channel."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    """The suffix to append to the endpoint's URL."""


class HttpNotifier(ABC):
    """Delivers with one POST to one endpoint."""

    limits_itself = True
    """See `limits_itself`: `Endpoint.post` ends within the send timeout."""

    def __init__(self, endpoint: Endpoint, content: ContentWriter | None = None) -> None:
        self._endpoint = endpoint
        self._content = content or ContentWriter()

    @abstractmethod
    def write(self, notification: Notification) -> Post:
        """The notification in this channel's format."""

    def preview(self, notification: Notification) -> str:
        return self._endpoint.redacted(self.write(notification).body.decode())

    async def send(self, notification: Notification) -> None:
        post = self.write(notification)
        await self._endpoint.post(post.body, post.headers, suffix=post.suffix)

    async def aclose(self) -> None:  # noqa: B027 - most channels have nothing to close
        """The HTTP client, which owns the connections, is shared and closed elsewhere."""
