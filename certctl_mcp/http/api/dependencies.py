"""The dependencies of routes: the open application, the caller, and the caller's permissions."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from certctl_mcp.config.api_keys import Role
from certctl_mcp.http.auth.principal import actor_of, caller_of, permitted_tools
from certctl_mcp.http.state import ServingState, serving_state, state_of
from certctl_mcp.runtime.application import Application

State = Annotated[ServingState, Depends(state_of)]


async def _application(request: Request) -> Application:
    return await serving_state(request).opened.application()


Opened = Annotated[Application, Depends(_application)]


async def _actor(request: Request) -> str:
    return actor_of(request.scope)


Actor = Annotated[str, Depends(_actor)]
"""The caller's name for the audit log."""


class _Requires:
    """A dependency: the caller must have permission for the tool that does the same."""

    def __init__(self, tool: str, action: str) -> None:
        self._tool = tool
        self._action = action

    async def __call__(self, request: Request) -> None:
        caller, settings = caller_of(request.scope), serving_state(request).settings
        if self._tool in permitted_tools(caller.role, settings):
            return
        if caller.role is Role.READER:
            raise HTTPException(403, f"The key {caller.name!r} is read-only and may not {self._action}.")
        if self._tool in settings.served_tools:
            raise HTTPException(403, f"Only a key with :admin may {self._action}.")
        raise HTTPException(
            403,
            f"The operator allows no one to {self._action} on this server, because {self._tool} is not among "
            "its tools; see CERTCTL_MCP_TOOLS, CERTCTL_MCP_EXCLUDE and CERTCTL_MCP_READ_ONLY.",
        )


may_read = Depends(_Requires("list_notifications", "read notifications"))
may_send = Depends(_Requires("send_notification", "send"))
may_requeue = Depends(_Requires("requeue_notification", "requeue"))
may_settle = Depends(_Requires("mark_notification_read", "mark as read"))
may_pause = Depends(_Requires("pause_channel", "pause channels"))
may_requeue_many = Depends(_Requires("requeue_notifications", "requeue many"))
may_settle_many = Depends(_Requires("mark_notifications_read", "mark many as read"))
may_retry = Depends(_Requires("retry_due_notifications", "retry what is due"))
may_purge = Depends(_Requires("purge_notifications", "delete"))
may_test = Depends(_Requires("send_test_notification", "test channels"))
