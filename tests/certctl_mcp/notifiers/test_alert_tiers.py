"""The threshold named in certctl's expiration warnings decides their severity."""

from typing import Any

import pytest

from certctl_mcp.config.destinations import OpsGenieDestination, PagerDutyDestination
from certctl_mcp.notifiers.http.client import HttpClient
from certctl_mcp.notifiers.opsgenie import OpsGenieNotifier
from certctl_mcp.notifiers.pagerduty import PagerDutyNotifier
from storage.alert_tiers import AlertTier, threshold_of
from storage.models import Notification
from tests.builders import notification
from tests.certctl_mcp.notifiers.receiver import Receiver


def warning(threshold: object, **fields: Any) -> Notification:
    return notification(message=f"expires\n\n[threshold:{threshold}]", **fields)


@pytest.mark.parametrize(
    ("threshold", "severity", "priority"),
    [
        (30, "info", "P5"),
        (14, "warning", "P3"),
        (7, "warning", "P3"),
        (0, "critical", "P1"),
        (3, "error", "P2"),
        ("soon", "error", "P2"),
    ],
)
def test_the_threshold_decides_the_severity_and_other_types_use_the_channel_setting(
    client: HttpClient, threshold: object, severity: str, priority: str
) -> None:
    pagerduty = PagerDutyDestination.model_validate({"routing_key": "k", "severity": "error"})
    opsgenie = OpsGenieDestination.model_validate({"api_key": "k", "priority": "P2"})
    event = PagerDutyNotifier(pagerduty, client).preview(warning(threshold))
    assert f'"severity":"{severity}"' in event
    assert f'"priority":"{priority}"' in OpsGenieNotifier(opsgenie, client).preview(warning(threshold))


@pytest.mark.parametrize(
    ("sent", "threshold"),
    [
        (warning(7), 7),
        (warning(-1), -1),
        (warning("7] and [threshold:14"), 14),
        (warning(99999), None),
        (warning(7, type="RenewalFailure"), None),
        (notification(), None),
    ],
)
def test_only_warnings_have_a_threshold_and_the_last_one_in_the_text_counts(
    sent: Notification, threshold: int | None
) -> None:
    assert threshold_of(sent) == threshold


async def test_settings_override_the_policy_which_overrides_the_default_table(
    client: HttpClient, receiver: Receiver
) -> None:
    async def tier(notification: Notification, threshold: int) -> AlertTier | None:
        return AlertTier.CRITICAL if threshold == 7 else None

    for threshold, types, expected in (
        (7, {}, "critical"),
        (14, {}, "warning"),
        (7, {"ExpirationWarning": {"severity": "info"}}, "info"),
    ):
        settings = {"routing_key": "k", "api_url": receiver.url, "types": types}
        destination = PagerDutyDestination.model_validate(settings)
        await PagerDutyNotifier(destination, client, policy_tier=tier).send(warning(threshold))
        assert receiver.received[-1].json["payload"]["severity"] == expected
