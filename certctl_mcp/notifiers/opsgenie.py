"""OpsGenie: an alert through the Alert API, which responds with 202 as soon as it has the request."""

from urllib.parse import quote

from certctl_mcp.config.destinations import OpsGenieDestination
from certctl_mcp.config.incidents import IncidentRule, default_action
from certctl_mcp.notifiers.alert_tiers import PRIORITIES, IncidentNotifier, PolicyTier
from certctl_mcp.notifiers.content import ContentWriter, shorten
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.http.endpoint import Endpoint
from certctl_mcp.notifiers.http.json_body import Json, encode
from certctl_mcp.notifiers.http.notifier import Post
from certctl_mcp.notifiers.http.success import opsgenie_objection
from certctl_mcp.notifiers.idempotency import incident_key
from certctl_mcp.notifiers.truncation import fit
from storage.alert_tiers import AlertTier
from storage.models import Notification

_LONGEST_MESSAGE = 130
_LONGEST_DESCRIPTION = 15_000
_LONGEST_ENTITY = 512

_SOURCE = "certctl"


class OpsGenieNotifier(IncidentNotifier):
    """A repeat has the same `alias`, and only increases the count of the alert that the first attempt
    opened."""

    def __init__(
        self,
        destination: OpsGenieDestination,
        client: HttpClient,
        content: ContentWriter | None = None,
        *,
        policy_tier: PolicyTier | None = None,
    ) -> None:
        endpoint = Endpoint(
            client,
            str(destination.api_url),
            destination.confidential,
            headers={"Authorization": f"GenieKey {destination.api_key.get_secret_value()}"},
            network=destination,
            check=opsgenie_objection,
        )
        super().__init__(endpoint, content, policy_tier)
        self._destination = destination

    def write_incident(self, notification: Notification, tier: AlertTier | None) -> Post:
        destination = self._destination
        content = self._content.content(notification)
        rule = destination.types.get(notification.type, IncidentRule())
        alias = incident_key(notification, destination.dedup)
        description = fit(content.body, str, len, _LONGEST_DESCRIPTION)
        if (rule.action or default_action(notification.type)) == "resolve":
            note = shorten(f"{content.title}: {content.body}", _LONGEST_DESCRIPTION)
            return Post(
                encode({"source": _SOURCE, "note": note}),
                suffix=f"/{quote(alias, safe='')}/close?identifierType=alias",
            )
        details: dict[str, Json] = {"notification_id": notification.id, "recipient": content.recipient}
        alert: dict[str, Json] = {
            "message": shorten(f"{content.title}: {content.body}", _LONGEST_MESSAGE),
            "alias": alias,
            "description": description,
            "priority": rule.priority or (destination.priority if tier is None else PRIORITIES[tier]),
            "source": _SOURCE,
            "details": details,
        }
        if content.link:
            details["link"] = content.link
        if content.certificate_id:
            alert["entity"] = shorten(content.certificate_id, _LONGEST_ENTITY)
            details["certificate_id"] = content.certificate_id
        return Post(encode(alert))
