"""Which notifications open an incident at an on-call provider, which resolve one, and how urgent they are."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["trigger", "resolve"]
Severity = Literal["critical", "error", "warning", "info"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Dedup = Literal["notification", "certificate"]
"""Which notifications share an incident: each has its own, or all about one certificate share one."""

SUCCESSES = frozenset({"RenewalSuccess", "DeploymentSuccess"})


class IncidentRule(BaseModel):
    """What notifications of one type do, if that differs from the channel's other types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action | None = None
    severity: Severity | None = None
    """For PagerDuty."""
    priority: Priority | None = None
    """For OpsGenie."""


def default_action(type_: str) -> Action:
    """A success is not an incident. It resolves the incident that it shares, and otherwise does nothing."""
    return "resolve" if type_ in SUCCESSES else "trigger"
