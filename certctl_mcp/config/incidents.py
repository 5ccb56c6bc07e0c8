"""Which notifications open an incident at an on-call provider, which resolve one, and how urgent they are."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["trigger", "resolve"]
Severity = Literal["critical", "error", "warning", "info"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Dedup = Literal["notification", "certificate"]
"""What shares an incident: the attempts of one notification, or all notifications about one certificate."""

SUCCESSES = frozenset({"RenewalSuccess", "DeploymentSuccess"})


class IncidentRule(BaseModel):
    """What one type of notification does, where that differs from the channel's other types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action | None = None
    severity: Severity | None = None
    """PagerDuty's."""
    priority: Priority | None = None
    """OpsGenie's."""


def default_action(type_: str) -> Action:
    """A success is not an incident: it resolves the one that it shares, and otherwise does nothing."""
    return "resolve" if type_ in SUCCESSES else "trigger"
