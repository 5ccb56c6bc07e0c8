"""The notifier of each channel, built from the settings when the channel is first used.

A process that only answers queries never imports an HTTP or SMTP client.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Self, assert_never

import anyio.to_thread

from certctl_mcp.config.destinations import (
    AppriseDestination,
    Channel,
    Destination,
    EmailDestination,
    OpsGenieDestination,
    PagerDutyDestination,
    PluginDestination,
    SlackDestination,
    TeamsDestination,
    WebhookDestination,
)
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier, PreviewedNotifier, delivery_failed
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.plugins import PluginNotifier, UnusablePluginError, check_installed
from storage.clock import Clock, utc_now
from storage.models import Notification

if TYPE_CHECKING:
    from certctl_mcp.notifiers.alert_tiers import PolicyTier
    from certctl_mcp.notifiers.http.client import HttpClient
    from certctl_mcp.notifiers.network.name_resolution import Resolver

_CONNECT_TIMEOUT = timedelta(seconds=10)
_SEND_TIMEOUT = timedelta(seconds=30)


class NotifierRegistry:
    """The configured channels. Names are case-sensitive."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        channels: Iterable[Channel],
        connections: int,
        *,
        connect_timeout: timedelta = _CONNECT_TIMEOUT,
        send_timeout: timedelta = _SEND_TIMEOUT,
        public_url: str | None = None,
        policy_tier: "PolicyTier | None" = None,
        clock: Clock = utc_now,
    ) -> AsyncIterator[Self]:
        """Leaving closes every connection; no send may be in progress then.

        `connections`: the most HTTP requests at once, over all channels.

        Raises:
            SettingsError: a channel needs a package that is not installed.
        """
        registry = cls(
            channels,
            connections,
            connect_timeout=connect_timeout,
            send_timeout=send_timeout,
            public_url=public_url,
            policy_tier=policy_tier,
            clock=clock,
        )
        try:
            yield registry
        finally:
            await registry.aclose()

    def __init__(
        self,
        channels: Iterable[Channel],
        connections: int,
        *,
        connect_timeout: timedelta = _CONNECT_TIMEOUT,
        send_timeout: timedelta = _SEND_TIMEOUT,
        public_url: str | None = None,
        policy_tier: "PolicyTier | None" = None,
        clock: Clock = utc_now,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._connections = connections
        self._connect_timeout = min(connect_timeout, send_timeout)
        self._send_timeout = send_timeout
        self._public_url = public_url
        self._policy_tier = policy_tier
        self._clock = clock
        self._notifiers: dict[str, Notifier] = {}
        self._http: HttpClient | None = None
        self._building = Lock()
        problems = [problem for channel in self._channels.values() for problem in _missing(channel)]
        if problems:
            raise SettingsError(problems)

    @property
    def descriptions(self) -> Mapping[str, str]:
        """The description of each channel in the configured order: kind and host, without secrets."""
        return {name: channel.destination.description for name, channel in self._channels.items()}

    async def find(self, channel: str) -> Notifier | None:
        """The notifier of this channel; None if no such channel is configured.

        The first call for a kind imports it in a thread, which takes up to half a second. A destination that
        can't be used now (a missing file, no free file descriptor) gets a notifier whose sends fail with the
        reason; the next call tries to build it again.
        """
        notifier = self._notifiers.get(channel)
        if notifier is None and channel in self._channels:
            return await anyio.to_thread.run_sync(self._built, channel)
        return notifier

    async def preview(self, notification: Notification) -> str | None:
        """What would be sent over the notification's channel; None if the channel can't show that.

        Raises:
            DeliveryFailedError: it can't be sent like this.
        """
        notifier = await self.find(notification.channel)
        return notifier.preview(notification) if isinstance(notifier, PreviewedNotifier) else None

    async def aclose(self) -> None:
        """Close every connection, even if closing one notifier fails."""
        async with AsyncExitStack() as stack:
            if self._http is not None:
                stack.push_async_callback(self._http.aclose)
            for notifier in self._notifiers.values():
                stack.push_async_callback(notifier.aclose)
        self._notifiers.clear()

    def _built(self, channel: str) -> Notifier:
        configured = self._channels[channel]
        with self._building:
            notifier = self._notifiers.get(channel)
            if notifier is None:
                try:
                    notifier = self._notifiers[channel] = self._import(configured)
                except Exception as error:  # noqa: BLE001 - whatever it is, only this channel fails
                    return _Unusable(configured.destination, error)
        return notifier

    def _import(self, channel: Channel) -> Notifier:
        destination = channel.destination
        content = ContentWriter(channel.templates, self._public_url)
        match destination:
            case WebhookDestination(format="certctl"):
                from certctl_mcp.notifiers.webhook import CertctlWebhookNotifier

                return CertctlWebhookNotifier(destination, self._http_client(), content)
            case WebhookDestination():
                from certctl_mcp.notifiers.webhook import WebhookNotifier

                return WebhookNotifier(destination, self._http_client(), content)
            case SlackDestination():
                from certctl_mcp.notifiers.slack import SlackNotifier

                return SlackNotifier(destination, self._http_client(), content)
            case TeamsDestination():
                from certctl_mcp.notifiers.teams import TeamsNotifier

                return TeamsNotifier(destination, self._http_client(), content)
            case PagerDutyDestination():
                from certctl_mcp.notifiers.pagerduty import PagerDutyNotifier

                return PagerDutyNotifier(
                    destination, self._http_client(), content, policy_tier=self._policy_tier
                )
            case OpsGenieDestination():
                from certctl_mcp.notifiers.opsgenie import OpsGenieNotifier

                return OpsGenieNotifier(
                    destination, self._http_client(), content, policy_tier=self._policy_tier
                )
            case EmailDestination():
                from certctl_mcp.notifiers.email import EmailNotifier

                return EmailNotifier(
                    destination,
                    connect_timeout=self._connect_timeout,
                    send_timeout=self._send_timeout,
                    resolver=self._resolver,
                    content=content,
                    clock=self._clock,
                )
            case AppriseDestination():
                from certctl_mcp.notifiers.apprise import AppriseNotifier

                longest = channel.longest_attempt(self._send_timeout)
                return AppriseNotifier(destination, content, send_timeout=self._send_timeout, longest=longest)
            case PluginDestination():
                return PluginNotifier(destination)
            case _:
                assert_never(destination)

    @cached_property
    def _resolver(self) -> "Resolver":
        from certctl_mcp.notifiers.network.name_resolution import Resolver

        return Resolver(self._connect_timeout.total_seconds())

    def _http_client(self) -> "HttpClient":
        from certctl_mcp.notifiers.http.client import HttpClient

        if self._http is None:
            self._http = HttpClient(
                connections=self._connections,
                connect_timeout=self._connect_timeout,
                send_timeout=self._send_timeout,
                resolver=self._resolver,
                clock=self._clock,
            )
        return self._http


class _Unusable:
    """Stands in for a destination that can't be set up."""

    def __init__(self, destination: Destination, error: Exception) -> None:
        self._reason = f"{destination.description} can't be used: {error}"
        self._confidential = destination.confidential

    async def send(self, notification: Notification) -> None:
        raise self._failure()

    def preview(self, notification: Notification) -> str:
        raise self._failure()

    def _failure(self) -> DeliveryFailedError:
        return delivery_failed(self._reason, self._confidential, kind=FailureKind.SETUP)

    async def aclose(self) -> None:
        """Nothing was opened."""


def _missing(channel: Channel) -> list[str]:
    """What must be installed before the channel can work."""
    match channel.destination:
        case AppriseDestination() if find_spec("apprise") is None:
            return [f"the channel {channel.name} needs Apprise: pip install 'certctl-mcp[apprise]'"]
        case PluginDestination(notifier=name):
            try:
                check_installed(name)
            except UnusablePluginError as error:
                return [f"the channel {channel.name} can't be used: {error}"]
    return []
