"""PagerDuty: an event to the Events API v2, which opens an incident or resolves one."""

from certctl_mcp.config.destinations import PagerDutyDestination
from certctl_mcp.config.incidents import IncidentRule, default_action
from certctl_mcp.notifiers.alert_tiers import SEVERITIES, IncidentNotifier, PolicyTier
from certctl_mcp.notifiers.content import ContentWriter, shorten
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.json_body import Json, encode
from certctl_mcp.notifiers.http.notifier import Post
from certctl_mcp.notifiers.http.success import pagerduty_objection
from certctl_mcp.notifiers.idempotency import incident_key
from certctl_mcp.notifiers.truncation import fit
from storage.alert_tiers import AlertTier
from storage.models import Notification

_LONGEST_SUMMARY = 1024
_LONGEST_EVENT = 500 * 1024
"""PagerDuty accepts 512 KB."""

_SOURCE = "certctl"


class PagerDutyNotifier(IncidentNotifier):
    """A repeat has the same `dedup_key` and joins the incident that the first attempt opened."""

    def __init__(
        self,
        destination: PagerDutyDestination,
        client: HttpClient,
        content: ContentWriter | None = None,
        *,
        policy_tier: PolicyTier | None = None,
    ) -> None:
        endpoint = Endpoint(
            client,
            str(destination.api_url),
            destination.confidential,
            network=destination,
            check=pagerduty_objection,
        )
        super().__init__(endpoint, content, policy_tier)
        self._destination = destination

    def write_incident(self, notification: Notification, tier: AlertTier | None) -> Post:
        destination = self._destination
        content = self._content.content(notification)
        rule = destination.types.get(notification.type, IncidentRule())
        event: dict[str, Json] = {
            "routing_key": destination.routing_key.get_secret_value(),
            "event_action": rule.action or default_action(notification.type),
            "dedup_key": incident_key(notification, destination.dedup),
        }
        if event["event_action"] == "resolve":
            return Post(encode(event))
        if content.link:
            event["links"] = [{"href": content.link, "text": "Notification"}]

        def write(message: str) -> bytes:
            event["payload"] = {
                "summary": shorten(f"{content.title}: {content.body}", _LONGEST_SUMMARY),
                "severity": rule.severity or (destination.severity if tier is None else SEVERITIES[tier]),
                "source": content.certificate_id or _SOURCE,
                "timestamp": notification.created_at.isoformat(),
                "class": notification.type,
                "custom_details": {
                    "notification_id": notification.id,
                    "certificate_id": content.certificate_id,
                    "recipient": content.recipient,
                    "message": message,
                },
            }
            return encode(event)

        return Post(fit(content.body, write, len, _LONGEST_EVENT))
