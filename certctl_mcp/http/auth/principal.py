"""Who is calling, and what may they do? Found out once for a request, and asked for by whatever serves it."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.settings import Settings
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.services.actors import actor_name

_CALLER = "certctl_mcp.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may call."""

    name: str
    """The name of a key, or the client of an access token."""
    role: Role


def permitted(role: Role, settings: Settings) -> frozenset[ToolGroup]:
    """What a caller may do: what the role allows, of what the operator lets be served at all."""
    allowed = {
        Role.READER: frozenset({ToolGroup.TRIAGE}),
        Role.OPERATOR: frozenset(ToolGroup) - {ToolGroup.PURGE},
        Role.ADMIN: frozenset(ToolGroup),
    }
    return allowed[role] & settings.tool_groups


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    scope[_CALLER] = caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Who calls; only where it is known."""
    caller = scope[_CALLER]
    assert isinstance(caller, Caller)
    return caller


def actor_of(scope: MutableMapping[str, Any]) -> str:
    """The caller's name for the audit log."""
    return actor_name("http", caller_of(scope).name)


def name_of(scope: MutableMapping[str, Any]) -> str:
    """Who calls, for the log; a hyphen where that is not known."""
    return caller_of(scope).name if _CALLER in scope else "-"
