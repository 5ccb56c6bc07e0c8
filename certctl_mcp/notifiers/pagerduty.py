"""PagerDuty: a trigger event to the Events API v2."""

from certctl_mcp.config.destinations import PagerDutyDestination
from certctl_mcp.notifiers.http import Endpoint
from certctl_mcp.notifiers.http_client import HttpClient
from certctl_mcp.notifiers.http_notifier import HttpNotifier, Post
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.json_body import encode
from certctl_mcp.notifiers.success import pagerduty_objection
from certctl_mcp.text.redaction import truncate
from storage.models import Notification

_LONGEST_SUMMARY = 1024
_LONGEST_MESSAGE_BYTES = 200 * 1024
"""An event may have 512 KB in all; JSON may double the message."""

_SOURCE = "certctl"


class PagerDutyNotifier(HttpNotifier):
    """Opens an incident; a repeat has the same `dedup_key` and is folded into it."""

    def __init__(self, destination: PagerDutyDestination, client: HttpClient) -> None:
        super().__init__(
            Endpoint(
                client,
                str(destination.api_url),
                destination.confidential,
                network=destination,
                check=pagerduty_objection,
            )
        )
        self._routing_key = destination.routing_key.get_secret_value()
        self._severity = destination.severity

    def write(self, notification: Notification) -> Post:
        return Post(
            encode(
                {
                    "routing_key": self._routing_key,
                    "event_action": "trigger",
                    "dedup_key": idempotency_key(notification),
                    "payload": {
                        "summary": f"{notification.type}: {notification.message}"[:_LONGEST_SUMMARY],
                        "severity": self._severity,
                        "source": notification.certificate_id or _SOURCE,
                        "timestamp": notification.created_at.isoformat(),
                        "class": notification.type,
                        "custom_details": {
                            "notification_id": notification.id,
                            "certificate_id": notification.certificate_id,
                            "recipient": notification.recipient,
                            "message": truncate(notification.message, _LONGEST_MESSAGE_BYTES),
                        },
                    },
                }
            )
        )
