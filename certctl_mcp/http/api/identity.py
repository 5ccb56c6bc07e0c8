"""Who the caller is and which server this is: certctl's routes for its command line and its page."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from certctl_mcp import __version__
from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.http.api.dependencies import State
from certctl_mcp.http.auth.principal import caller_of, permitted
from certctl_mcp.http.state import ServingState

router = APIRouter(prefix="/api/v1")

_TENANT = "t-default"
_ROLES = {Role.ADMIN: "r-admin", Role.OPERATOR: "r-operator", Role.READER: "r-viewer"}
_PERMISSIONS = {
    ToolGroup.TRIAGE: ("notification.read", "stats.read", "metrics.read"),
    ToolGroup.REQUEUE: ("notification.edit",),
}
"""certctl's names of the permissions that the routes require. It has none for the other groups."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class AuthInfo(_Document):
    """Whether an API key is required."""

    auth_type: Literal["api-key", "none"]
    required: bool


class Permission(_Document):
    """A permission, by certctl's name."""

    permission: str
    scope_type: Literal["global"] = "global"


class Identity(_Document):
    """The caller that the key belongs to, its role and its permissions, as certctl names them."""

    actor_id: str
    actor_type: Literal["APIKey", "Anonymous"]
    tenant_id: Literal["t-default"] = "t-default"
    admin: bool
    roles: tuple[str, ...]
    effective_permissions: tuple[Permission, ...]


class AuthCheck(Identity):
    """The same, under further names."""

    status: Literal["authenticated"] = "authenticated"
    user: str
    admin_via_role: bool
    read_only: bool


class Version(_Document):
    """This program's version. certctl's other fields, about its build, are empty."""

    version: str = __version__
    commit: str = ""
    modified: bool = False
    build_time: str = ""
    go_version: str = ""


@router.get("/auth/info")
async def get_auth_info(state: State) -> AuthInfo:
    """Get whether an API key is required. Needs no key."""
    required = state.settings.http.authenticates
    return AuthInfo(auth_type="api-key" if required else "none", required=required)


@router.get("/auth/check")
async def check_auth(request: Request, state: State) -> AuthCheck:
    """Get the caller to which the key belongs."""
    identity = _identity(request, state)
    return AuthCheck(
        **identity.model_dump(),
        user=identity.actor_id,
        admin_via_role=identity.admin,
        read_only=caller_of(request.scope).role is Role.READER,
    )


@router.get("/auth/me")
async def get_identity(request: Request, state: State) -> Identity:
    """Get the caller's role and permissions."""
    return _identity(request, state)


@router.get("/version")
async def get_version() -> Version:
    """Get the version of this program. Needs no key."""
    return Version()


def _identity(request: Request, state: ServingState) -> Identity:
    caller = caller_of(request.scope)
    groups = permitted(caller.role, state.settings)
    return Identity(
        actor_id=caller.name,
        actor_type="APIKey" if state.settings.http.authenticates else "Anonymous",
        admin=caller.role is Role.ADMIN,
        roles=(_ROLES[caller.role],),
        effective_permissions=tuple(
            Permission(permission=name)
            for group, names in _PERMISSIONS.items()
            if group in groups
            for name in names
        ),
    )
