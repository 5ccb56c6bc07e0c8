"""The REST API for channels: why nothing goes out over one, and pausing and resuming it."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import StringConstraints

from certctl_mcp.http.api.dependencies import Actor, Opened, may_pause, may_read
from certctl_mcp.http.api.documents import (
    ChannelDocument,
    ChannelList,
    ChannelPaused,
    ChannelResumed,
    IfNoneMatch,
    PauseChannel,
)
from certctl_mcp.http.api.parameters import decoded
from certctl_mcp.http.conditional import json_response

router = APIRouter(prefix="/api/v1/channels")

Name = Annotated[
    str,
    StringConstraints(min_length=1),
    Path(alias="name", description="Percent-encoded.", examples=["Slack"]),
]


@router.get("", response_model=ChannelList, dependencies=[may_read])
async def list_channels(opened: Opened, if_none_match: IfNoneMatch = None) -> Response:
    """List the channels, and why nothing goes out over one if that is so."""
    channels = tuple(
        ChannelDocument(
            name=channel.name,
            destination=channel.destination,
            processes=channel.processes,
            closed=channel.closed,
        )
        for channel in await opened.notifications.channels.health()
    )
    return json_response(ChannelList(data=channels), if_none_match=if_none_match)


@router.post("/{name}/pause", response_model=ChannelPaused, dependencies=[may_pause])
async def pause_channel(channel: Name, pause: PauseChannel, opened: Opened, actor: Actor) -> Response:
    """Attempt nothing over a channel for a while. What waits spends no attempt."""
    end = await opened.pauses.pause(decoded(channel), pause.until, pause.reason, actor=actor)
    return json_response(ChannelPaused(paused_until=end))


@router.post("/{name}/resume", response_model=ChannelResumed, dependencies=[may_pause])
async def resume_channel(channel: Name, opened: Opened, actor: Actor) -> Response:
    """End the pause of a channel."""
    was_paused = await opened.pauses.resume(decoded(channel), actor=actor)
    return json_response(ChannelResumed(was_paused=was_paused))
