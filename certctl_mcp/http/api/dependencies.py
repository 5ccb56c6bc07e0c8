"""What the routes depend on: the open application, the caller, and what the caller may do."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from certctl_mcp.config.api_keys import Role
from certctl_mcp.config.tool_groups import ToolGroup
from certctl_mcp.http.auth.principal import actor_of, caller_of, permitted
from certctl_mcp.http.state import ServingState, state_of
from certctl_mcp.runtime.application import Application

State = Annotated[ServingState, Depends(state_of)]


async def _application(state: State) -> Application:
    return await state.opened.application()


Opened = Annotated[Application, Depends(_application)]


async def _actor(request: Request) -> str:
    return actor_of(request.scope)


Actor = Annotated[str, Depends(_actor)]
"""The caller's name for the audit log."""


class _Requires:
    """A dependency: the caller must be permitted to use the tools of `group`."""

    def __init__(self, group: ToolGroup, action: str) -> None:
        self._group = group
        self._action = action

    async def __call__(self, request: Request, state: State) -> None:
        caller = caller_of(request.scope)
        if self._group in permitted(caller.role, state.settings):
            return
        if caller.role is Role.READER:
            raise HTTPException(403, f"The key {caller.name!r} is read-only and may not {self._action}.")
        raise HTTPException(403, f"The operator allows nobody to {self._action} on this server.")


may_read = Depends(_Requires(ToolGroup.TRIAGE, "look at notifications"))
may_send = Depends(_Requires(ToolGroup.SEND, "send"))
may_requeue = Depends(_Requires(ToolGroup.REQUEUE, "requeue"))
may_settle = Depends(_Requires(ToolGroup.SETTLE, "mark as read"))
may_pause = Depends(_Requires(ToolGroup.CHANNELS, "pause channels"))
