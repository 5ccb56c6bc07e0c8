"""The posts that all contestants send: the same alert, exactly as the webhook channel sends it."""

from datetime import timedelta

from pydantic import SecretStr

from certctl_mcp.config.destinations import WebhookDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.notifier import Post
from certctl_mcp.notifiers.webhook import WebhookNotifier
from storage.clock import utc_now
from storage.ids import new_notification_id
from storage.models import NewNotification
from storage.operations.accept import pending

_UNUSED = timedelta(seconds=1)
CONTENT_TYPE = {"Content-Type": "application/json"}

ALERT = NewNotification(
    type="RenewalFailure",
    channel="Webhook",
    recipient="on-call",
    certificate_id="mc-00042",
    message="The certificate mc-00042 could not be renewed: " + "." * 150,
)


def posts(url: str, count: int) -> list[Post]:
    """One for each of `count` notifications."""
    client = HttpClient(connections=1, connect_timeout=_UNUSED, send_timeout=_UNUSED)
    notifier = WebhookNotifier(WebhookDestination(kind="webhook", url=SecretStr(url)), client)
    return [notifier.write(pending(ALERT, new_notification_id(), utc_now())) for _ in range(count)]
