"""The MCP server: its tools, its error messages, and the application that opens in the background."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import anyio
from mcp.server.apps import Apps
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import ValidationError

from certctl_mcp import __version__
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.retry_policy import RetryPolicy
from certctl_mcp.mcp_server.call_meter import UNKNOWN, CallMeter, CallOutcome
from certctl_mcp.mcp_server.caller import actor_of
from certctl_mcp.mcp_server.capabilities import CACHE_HINTS, CapabilityFilter
from certctl_mcp.mcp_server.completions import Completions
from certctl_mcp.mcp_server.errors import CALL_TIMEOUT, translate_errors
from certctl_mcp.mcp_server.icon import ICON
from certctl_mcp.mcp_server.instructions import instructions
from certctl_mcp.mcp_server.prompts import Prompts
from certctl_mcp.mcp_server.resources import SAME_AS_TOOLS, register_resources
from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.subscriptions import register_subscriptions
from certctl_mcp.mcp_server.tools.bulk import WITHOUT_TIMEOUT
from certctl_mcp.mcp_server.tools.call_arguments import read_arguments
from certctl_mcp.mcp_server.tools.catalog import TOOL_NAMES, catalog
from certctl_mcp.mcp_server.tools.elicitation import without_asking
from certctl_mcp.mcp_server.tools.results import refusal
from certctl_mcp.runtime.lifespan import Opener, Opening, opening_with_reload
from certctl_mcp.runtime.reload import Load
from certctl_mcp.services.explanations import (
    arguments_explained,
    explained,
    similar_name,
    unknown_name,
    unknown_names,
)
from storage.clock import Clock, utc_now
from storage.errors import StorageError

logger = logging.getLogger(__name__)

Lifespan = Callable[[object], AbstractAsyncContextManager[Opening]]


def build_server(
    settings: Settings,
    *,
    load: Load | None = None,
    open_application: Opener | None = None,
    clock: Clock = utc_now,
) -> "NotificationServer":
    """A server with the tools that the settings allow. Its lifespan opens the application, which delivers.

    With `load`, the settings are read again when a secret file has changed.

    `open_application` replaces the function of that name in `certctl_mcp.runtime.application`, which is
    imported only once the server is up.
    """
    return NotificationServer(
        catalog(settings.served_tools),
        RetryPolicy.of(settings),
        lambda _: opening_with_reload(settings, load, open_application, clock),
    )


def build_shared_server(opened: Opening, tools: Collection[str], calls: CallMeter) -> "NotificationServer":
    """One of several servers in a process that share an open application, with these tools."""
    policy = RetryPolicy.of(opened.settings)
    server = NotificationServer(catalog(tools), policy, lambda _: nullcontext(opened), calls)
    opened.after_reload.append(lambda settings: server.update_instructions(RetryPolicy.of(settings)))
    return server


class NotificationServer(MCPServer[Opening]):
    """An MCP server whose errors say what to do next, instead of showing the exception."""

    def __init__(
        self,
        tools: Sequence[Tool],
        policy: RetryPolicy,
        lifespan: Lifespan,
        calls: CallMeter | None = None,
    ) -> None:
        self._names = names = frozenset(tool.name for tool in tools)
        prompts = Prompts(names)
        # A caller without permission for a read-only tool must not read the same result as a resource.
        served = {"tools", "resources", "completions"} if names >= SAME_AS_TOOLS else {"tools"}
        if prompts:
            served |= {"prompts", "completions"}
        super().__init__(
            "certctl-mcp",
            title="certctl notifications",
            description="Durable certificate alerts: delivery, dead letters, requeueing.",
            website_url="https://github.com/certctl-io/certctl",
            icons=[ICON],
            version=__version__,
            tools=list(tools),
            lifespan=lifespan,
            cache_hints=CACHE_HINTS,
            subscriptions=False,
            # The page is a resource, so it is available only if resources are.
            extensions=[Apps()] if "resources" in served else [],
            middleware=[CapabilityFilter(frozenset(served)), translate_errors],
        )
        self.update_instructions(policy)
        lowlevel = lowlevel_server(self)
        prompts.register(lowlevel)
        register_resources(lowlevel)
        register_subscriptions(lowlevel)
        Completions(prompts).register(lowlevel)
        self._schemas = {tool.name: tool.parameters for tool in tools}
        self._reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
        self._calls = calls or CallMeter()

    def update_instructions(self, policy: RetryPolicy) -> None:
        """Use this policy's numbers in the instructions for clients that connect from now on."""
        lowlevel_server(self).instructions = instructions(self._names, policy)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Opening, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Errors that the caller can fix or must know about are returned as results.

        Raises:
            UnexpectedToolError: the tool has a bug.
        """
        tool = name if name in self._schemas else UNKNOWN
        with self._calls.measured(tool) as call:
            result = await self._call_or_refuse(name, arguments, context)
            refused = isinstance(result, CallToolResult) and result.is_error
            call.outcome = CallOutcome.REFUSED if refused else CallOutcome.ANSWERED
        level = logging.DEBUG if tool in self._reading and not refused else logging.INFO
        if logger.isEnabledFor(level):
            caller = "the client" if context is None else actor_of(context)
            logger.log(level, "%s was %s in %.3f s, called by %s", tool, call.outcome, call.seconds, caller)
        return result

    async def _call_or_refuse(
        self, name: str, arguments: dict[str, Any], context: Context[Opening, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        schema = self._schemas.get(name)
        if schema is None and name in TOOL_NAMES:
            return refusal(f"{name} is not served here: the operator allows only {', '.join(self._schemas)}.")
        if schema is None:
            return refusal(unknown_name("tool", name, tuple(self._schemas)))
        arguments = read_arguments(arguments, schema)
        known = tuple(schema["properties"])
        if unknown := sorted(arguments.keys() - set(known)):
            return refusal(unknown_names(f"argument of {name}", unknown, known))
        try:
            with anyio.fail_after(None if name in WITHOUT_TIMEOUT else CALL_TIMEOUT.total_seconds()):
                return await self._call(name, arguments, context)
        except TimeoutError:
            seconds = CALL_TIMEOUT.total_seconds()
            return refusal(
                f"No answer within {seconds:g} s. Check what was done before calling {name} again."
            )
        except ToolError as failure:
            explanation = _explained(failure)
            if explanation is None:
                raise
            if isinstance(failure.__cause__, StorageError):
                logger.warning("%s: %s", name, failure.__cause__)
            else:
                logger.info("%s: %s", name, explanation)
            return refusal(explanation, similar_name(failure.__cause__))

    async def _call(
        self, name: str, arguments: dict[str, Any], context: Context[Opening, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as failure:
            # Only the SDK raises it as a cause: the client's answer to a question could not be read.
            if not isinstance(failure.__cause__, ToolError):
                raise
            logger.warning("%s: the client's answer to an elicitation could not be read", name)
        with without_asking():
            return await super().call_tool(name, arguments, context)


def _explained(failure: ToolError) -> str | None:
    if isinstance(failure.__cause__, ValidationError) and not isinstance(failure, UnexpectedToolError):
        return arguments_explained(failure.__cause__)
    return explained(failure.__cause__)
