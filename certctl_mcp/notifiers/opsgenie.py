"""OpsGenie: an alert through the Alert API, which answers 202 as soon as it has the request."""

from certctl_mcp.config.destinations import OpsGenieDestination
from certctl_mcp.notifiers.http import Endpoint
from certctl_mcp.notifiers.http_client import HttpClient
from certctl_mcp.notifiers.http_notifier import HttpNotifier, Post
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.json_body import Json, encode
from certctl_mcp.notifiers.success import opsgenie_objection
from storage.models import Notification

_LONGEST_MESSAGE = 130
_LONGEST_DESCRIPTION = 15_000
_LONGEST_ENTITY = 512

_SOURCE = "certctl"


class OpsGenieNotifier(HttpNotifier):
    """Opens an alert; a repeat has the same `alias` and is counted on the open alert."""

    def __init__(self, destination: OpsGenieDestination, client: HttpClient) -> None:
        super().__init__(
            Endpoint(
                client,
                str(destination.api_url),
                destination.confidential,
                network=destination,
                check=opsgenie_objection,
                headers={"Authorization": f"GenieKey {destination.api_key.get_secret_value()}"},
            )
        )
        self._priority = destination.priority

    def write(self, notification: Notification) -> Post:
        details: dict[str, Json] = {"notification_id": notification.id, "recipient": notification.recipient}
        alert: dict[str, Json] = {
            "message": f"{notification.type}: {notification.message}"[:_LONGEST_MESSAGE],
            "alias": idempotency_key(notification),
            "description": notification.message[:_LONGEST_DESCRIPTION],
            "priority": self._priority,
            "source": _SOURCE,
            "details": details,
        }
        if notification.certificate_id:
            alert["entity"] = notification.certificate_id[:_LONGEST_ENTITY]
            details["certificate_id"] = notification.certificate_id
        return Post(encode(alert))
