"""The tools that pause and resume a channel."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field
from typing_extensions import TypedDict

from certctl_mcp.mcp_server.caller import actor_of
from certctl_mcp.mcp_server.tools.results import ToolContext, answer
from certctl_mcp.mcp_server.tools.rows import Moment, iso

ChannelName = Annotated[str, Field(max_length=255, description="See list_channels.")]


class Paused(TypedDict):
    """The end of the pause."""

    paused_until: Moment


class Resumed(TypedDict):
    """The result."""

    was_paused: bool


async def pause_channel(
    ctx: ToolContext,
    channel: ChannelName,
    until: Annotated[str, Field(max_length=60, description="ISO 8601, or how long: 2h.")],
    reason: Annotated[str, Field(max_length=500, description="The reason; shown to all.")],
) -> Annotated[CallToolResult, Paused]:
    """Hold back a channel's notifications for a while, such as during maintenance; they are sent
    afterwards."""
    application = await ctx.request_context.lifespan_context.application()
    end = await application.pauses.pause(channel, until, reason, actor=actor_of(ctx))
    paused: Paused = {"paused_until": iso(end)}
    return answer(paused)


async def resume_channel(ctx: ToolContext, channel: ChannelName) -> Annotated[CallToolResult, Resumed]:
    """End the pause of a channel at once: waiting notifications are sent."""
    application = await ctx.request_context.lifespan_context.application()
    resumed: Resumed = {"was_paused": await application.pauses.resume(channel, actor=actor_of(ctx))}
    return answer(resumed)
