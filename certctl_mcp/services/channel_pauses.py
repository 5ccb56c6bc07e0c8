"""Pauses of channels by a person: nothing is attempted until a given time."""

import logging
from datetime import datetime

from certctl_mcp.services.channels import Channels
from certctl_mcp.services.errors import RequestError, UnknownChannelError
from certctl_mcp.services.moments import END_EXAMPLES, parse_end
from storage.channel_state import LONGEST_PAUSE, Pause
from storage.clock import Clock
from storage.repository import NotificationRepository

logger = logging.getLogger(__name__)

LONGEST_REASON = 500
"""Characters."""


class PauseRefusedError(RequestError):
    """A pause must have an end in the future and a reason."""


class ChannelPauses:
    """Pauses of channels. All methods let `StorageError` pass through."""

    def __init__(self, repository: NotificationRepository, channels: Channels, clock: Clock) -> None:
        self._repository = repository
        self._channels = channels
        self._clock = clock

    async def pause(self, channel: str, until: str, reason: str, *, actor: str) -> datetime:
        """Attempt nothing over the channel until the returned end. Waiting uses up no attempts.

        Raises:
            UnknownChannelError: no live process has it, and no notification.
            PauseRefusedError: the end is not a point in time, past or too far ahead, or there is no reason.
        """
        await self._check(channel)
        pause = Pause(self._end(until), _reason(reason), actor)
        await self._repository.pause_channel(channel, pause, actor=actor)
        logger.info("%s paused the channel %r until %s", actor, channel, pause.until)
        return pause.until

    async def resume(self, channel: str, *, actor: str) -> bool:
        """End the pause; false if the channel was not paused.

        Raises:
            UnknownChannelError: no live process has it, and no notification.
        """
        await self._check(channel)
        resumed = await self._repository.resume_channel(channel, actor=actor)
        if resumed:
            logger.info("%s resumed the channel %r", actor, channel)
        return resumed

    def _end(self, until: str) -> datetime:
        now = self._clock()
        try:
            end = parse_end(until, now)
        except ValueError:
            raise PauseRefusedError(f"until: give {END_EXAMPLES}") from None
        if not now < end <= now + LONGEST_PAUSE:
            raise PauseRefusedError(
                f"until: must be in the future, by at most {LONGEST_PAUSE.days} days; "
                f"the time is {now:%Y-%m-%dT%H:%MZ}"
            )
        return end

    async def _check(self, channel: str) -> None:
        configured = self._channels.configured
        if channel in configured:
            return
        elsewhere = await self._channels.elsewhere()
        in_use = await self._repository.channels_in_use()
        if channel not in elsewhere and channel not in in_use:
            raise UnknownChannelError(channel, (*configured, *elsewhere), in_use=in_use)


def _reason(given: str) -> str:
    reason = given.strip()
    if not reason or len(reason) > LONGEST_REASON or "\0" in reason:
        raise PauseRefusedError(f"reason: must be a text of 1 to {LONGEST_REASON} characters")
    return reason
