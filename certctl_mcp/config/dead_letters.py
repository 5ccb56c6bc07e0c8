"""Settings for what happens after a notification becomes a dead letter: an alert, and delivery by a fallback
channel."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from certctl_mcp.config.destinations import Channel, EmailDestination
from certctl_mcp.config.durations import Duration


class DeadLetterSettings(BaseModel):
    """The alert about dead letters: the table `dead_letters` of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert: str | None = Field(default=None, min_length=1, max_length=255)
    """The channel of the alerts. None: there are no alerts."""
    recipient: str = Field(default="", max_length=255)
    window: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(hours=1)
    """Dead letters of one channel and cause are announced once in this time."""

    def check(self, channels: Mapping[str, Channel]) -> None:
        """Raises: ValueError: the alerts can't be sent over these channels."""
        if self.alert is None:
            if self.recipient:
                raise ValueError("recipient needs alert, the channel of the alerts")
        elif self.alert not in channels:
            raise ValueError(f"alert is {self.alert!r}, which {_not_among(channels)}")
        elif not self.recipient and _is_mail(channels[self.alert]):
            raise ValueError("recipient is missing: alerts by mail need an address")


class FallbackError(ValueError):
    """The fallback of a channel can't be used."""

    def __init__(self, channel: str, rule: str) -> None:
        super().__init__(rule)
        self.channel = channel


def check_fallbacks(channels: Mapping[str, Channel]) -> None:
    """Raises: FallbackError: it is unknown, lacks a recipient, or leads back to the channel."""
    for name, channel in channels.items():
        if channel.fallback is None:
            if channel.fallback_recipient:
                raise FallbackError(name, "fallback_recipient needs fallback")
        elif channel.fallback not in channels:
            raise FallbackError(name, f"fallback is {channel.fallback!r}, which {_not_among(channels)}")
        elif _is_mail(channels[channel.fallback]) and not (channel.fallback_recipient or _is_mail(channel)):
            raise FallbackError(name, "fallback_recipient is missing: mail needs an address")
    cycle = find_cycle({c.name: c.fallback for c in channels.values() if c.fallback is not None})
    if cycle:
        raise FallbackError(cycle[0], f"fallback leads back to it: {' -> '.join(cycle)}")


def find_cycle(fallbacks: Mapping[str, str]) -> tuple[str, ...]:
    """A channel and its successive fallbacks up to the same channel again; empty if none leads back.

    `fallbacks` maps each channel that has a fallback to it.
    """
    harmless: set[str] = set()
    for start in fallbacks:
        path = [start]
        while path[-1] not in harmless and (following := fallbacks.get(path[-1])) is not None:
            if following in path:
                return (*path[path.index(following) :], following)
            path.append(following)
        harmless.update(path)
    return ()


def _is_mail(channel: Channel) -> bool:
    return isinstance(channel.destination, EmailDestination)


def _not_among(channels: Mapping[str, Channel]) -> str:
    return f"is not a configured channel ({', '.join(channels) or 'there are none'})"
