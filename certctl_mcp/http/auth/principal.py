"""The authenticated caller of a request and the tool groups that it may use."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.settings import Settings
from certctl_mcp.config.tool_groups import TOOLS, ToolGroup
from certctl_mcp.services.actors import actor_name

_CALLER = "certctl_mcp.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller."""

    name: str
    """The name of its key, or `oauth:` and the client of its access token."""
    role: Role


_ALLOWED = {
    Role.READER: frozenset({ToolGroup.TRIAGE}),
    Role.OPERATOR: frozenset(ToolGroup) - {ToolGroup.PURGE},
    Role.ADMIN: frozenset(ToolGroup),
}


def permitted_tools(role: Role, settings: Settings) -> frozenset[str]:
    """The tools that a caller may use: those of its role that the operator allows to be served."""
    return settings.served_tools & {name for group in _ALLOWED[role] for name in TOOLS[group]}


def permitted(role: Role, settings: Settings) -> frozenset[ToolGroup]:
    """The groups that both the role and the server's settings allow."""
    return _ALLOWED[role] & settings.tool_groups


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    scope[_CALLER] = caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """The caller of an authenticated request."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)
    return caller


def actor_of(scope: MutableMapping[str, Any]) -> str:
    """The caller's name for the audit log."""
    return actor_name("http", caller_of(scope).name)


def caller_name(scope: MutableMapping[str, Any]) -> str:
    """The caller's name for the log; a hyphen before authentication."""
    return caller_of(scope).name if _CALLER in scope else "-"
