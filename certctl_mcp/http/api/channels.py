"""The REST API for channels: why nothing is sent over one; pausing, resuming and testing it."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import StringConstraints

from certctl_mcp.http.api.dependencies import Actor, Opened, may_pause, may_read, may_test
from certctl_mcp.http.api.documents import (
    ChannelDocument,
    ChannelList,
    ChannelPaused,
    ChannelResumed,
    ChannelTested,
    IfNoneMatch,
    PauseChannel,
    TestChannel,
    redacted_or_none,
)
from certctl_mcp.http.api.parameters import decoded
from certctl_mcp.http.conditional import json_response

CHANNELS = "/api/v1/channels"

router = APIRouter(prefix=CHANNELS)

Name = Annotated[
    str,
    StringConstraints(min_length=1),
    Path(alias="name", description="Percent-encoded.", examples=["Slack"]),
]


@router.get("", response_model=ChannelList, dependencies=[may_read])
async def list_channels(opened: Opened, if_none_match: IfNoneMatch = None) -> Response:
    """List the channels, with the reason if nothing is sent over one."""
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
    """Pause a channel: nothing is attempted over it until the pause ends. Waiting uses up no attempts."""
    end = await opened.pauses.pause(decoded(channel), pause.until, pause.reason, actor=actor)
    return json_response(ChannelPaused(paused_until=end))


@router.post("/{name}/resume", response_model=ChannelResumed, dependencies=[may_pause])
async def resume_channel(channel: Name, opened: Opened, actor: Actor) -> Response:
    """End the pause of a channel."""
    was_paused = await opened.pauses.resume(decoded(channel), actor=actor)
    return json_response(ChannelResumed(was_paused=was_paused))


@router.post("/{name}/test", name="test_channel", response_model=ChannelTested, dependencies=[may_test])
async def try_channel(
    channel: Name, opened: Opened, actor: Actor, test: TestChannel | None = None
) -> Response:
    """Send a test message over a channel now, without retries. The audit log records it, but it is not
    stored."""
    recipient = "" if test is None else test.recipient
    result = await opened.notifications.send_test(decoded(channel), recipient, actor=actor)
    return json_response(
        ChannelTested(
            delivered=result.failure is None,
            seconds=round(result.duration.total_seconds(), 3),
            error=redacted_or_none(result.failure),
        )
    )
