"""The MCP server: its tools, how their failures are told, and the application that opens beside it."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

from certctl_mcp import __version__
from certctl_mcp.capabilities import Without
from certctl_mcp.instructions import instructions
from certctl_mcp.opening import Opener, Opening, opening
from certctl_mcp.settings import Settings
from certctl_mcp.tools.answers import refusal
from certctl_mcp.tools.catalog import TOOL_NAMES, catalog
from certctl_mcp.tools.failures import arguments_explained, explained, unknown_name
from storage.clock import Clock, utc_now
from storage.errors import StorageError

logger = logging.getLogger(__name__)

CALL_TIMEOUT = timedelta(seconds=55)
"""Hosts give a call up after a minute. A sweep, the longest call, ends after 45 seconds."""


def build_server(
    settings: Settings, *, open_application: Opener | None = None, clock: Clock = utc_now
) -> "NotificationServer":
    """The server with the tools that the settings allow; its lifespan opens the application and delivers.

    `open_application` stands in for `certctl_mcp.application.open_application`, which is imported only
    when the server is up.
    """
    return NotificationServer(catalog(settings.tool_groups), settings, open_application, clock)


class NotificationServer(MCPServer[Opening]):
    """Tells an assistant how to go on where the SDK would show it what was raised."""

    def __init__(
        self, tools: Sequence[Tool], settings: Settings, open_application: Opener | None, clock: Clock
    ) -> None:
        super().__init__(
            "certctl-mcp",
            title="certctl notifications",
            version=__version__,
            instructions=instructions({tool.name for tool in tools}),
            tools=list(tools),
            lifespan=lambda _: opening(settings, open_application, clock),
            subscriptions=False,
            middleware=[Without(frozenset({"prompts", "resources"}))],
        )
        self._arguments = {tool.name: tuple(tool.parameters["properties"]) for tool in tools}

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Opening, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. What the caller can mend, or must know, is its answer.

        Raises:
            UnexpectedToolError: the tool has a defect.
        """
        known = self._arguments.get(name)
        if known is None and name in TOOL_NAMES:
            return refusal(
                f"{name} is not served here: the operator allows only {', '.join(self._arguments)}."
            )
        if known is None:
            return refusal(unknown_name("tool", name, tuple(self._arguments)))
        for unknown in arguments.keys() - set(known):
            return refusal(unknown_name(f"argument of {name}", unknown, known))
        try:
            with anyio.fail_after(CALL_TIMEOUT.total_seconds()):
                return await super().call_tool(name, arguments, context)
        except TimeoutError:
            seconds = CALL_TIMEOUT.total_seconds()
            return refusal(f"No answer within {seconds:g} s. Look what was done before calling {name} again.")
        except ToolError as failure:
            explanation = _explained(failure)
            if explanation is None:
                raise
            if isinstance(failure.__cause__, StorageError):
                logger.warning("%s: %s", name, failure.__cause__)
            else:
                logger.info("%s: %s", name, explanation)
            return refusal(explanation)


def _explained(failure: ToolError) -> str | None:
    if isinstance(failure.__cause__, ValidationError) and not isinstance(failure, UnexpectedToolError):
        return arguments_explained(failure.__cause__)
    return explained(failure.__cause__)
