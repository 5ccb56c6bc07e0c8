"""Apprise: any of the services that the library knows, by its URL.

Its code blocks and can't be stopped, so it runs in threads that only its own channel uses. A URL may have
several rooms. Each is sent to separately, so that it is known which were reached, and an attempt doesn't
begin a room that it has no time to finish.
"""

import asyncio
import logging
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import anyio
import apprise

from certctl_mcp.config.destinations import AppriseDestination
from certctl_mcp.notifiers.apprise_network import AppriseNetwork, Cause
from certctl_mcp.notifiers.apprise_refusals import apprise_failure_kind
from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.content import ContentWriter
from certctl_mcp.notifiers.excerpt import excerpt, single_line
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.idempotency import idempotency_key
from certctl_mcp.notifiers.own_thread import in_own_thread
from certctl_mcp.notifiers.smtp.partial_deliveries import PartialDeliveries
from certctl_mcp.text.redaction import redact
from storage.models import Notification

_THREADS = 10
"""The threads of one channel; further sends wait for one to end."""

_MENTION = re.compile(
    # An @ that is not part of an address, and mentions in brackets as in Slack, Discord, Google Chat and
    # Feishu.
    r"(?<!\w)@(?=\S)|@(?=everyone|here|channel|room|all\b)|(?<=<)(?:[@!#]|(?=users/|at\b))"
)
_NO_BREAK = "\u2060"
"""An invisible character that keeps services from reading the rest as a name."""

# Apprise logs whole URLs, with their tokens, at every level. What it logs about a failed send is in our
# error.
_logger = logging.getLogger("apprise")
_logger.setLevel(logging.INFO)
_logger.propagate = False
for _name in ("urllib3", "requests"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class _Message:
    title: str
    body: str


class AppriseNotifier:
    """Sends through Apprise. A send that has begun is always awaited, and its result counts.

    Apprise has no idempotency key, so the text names the notification, and a reader recognises a repeat.

    Raises:
        ValueError: Apprise does not know the service, or the URL lacks something, or the service is not
            reached over HTTP and the settings have what only HTTP needs.
        OSError: a certificate file can't be used.
    """

    def __init__(
        self,
        destination: AppriseDestination,
        content: ContentWriter | None = None,
        *,
        send_timeout: timedelta = timedelta(seconds=30),
        longest: timedelta = timedelta(seconds=45),
    ) -> None:
        """No request begins after `send_timeout`, and no response is awaited after `longest`."""
        self._url = destination.url.get_secret_value()
        self._destination = destination
        self._network = AppriseNetwork(destination)
        self._confidential = destination.confidential
        self._content = content or ContentWriter()
        self._send_seconds = send_timeout.total_seconds()
        self._longest_seconds = longest.total_seconds()
        self._threads = asyncio.Semaphore(_THREADS)
        self._partial = PartialDeliveries()
        services = self._plugins()
        if (destination.proxy_url or destination.client_cert) and not all(map(_uses_http, services)):
            raise ValueError("this service is not reached over HTTP, so it takes no proxy or client_cert")

    async def send(self, notification: Notification) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # A thread can't be stopped, and its delivery must not be lost, so it is awaited even if the attempt
        # is cancelled.
        with anyio.CancelScope(shield=True):
            sending = asyncio.ensure_future(self._notify_in_thread(notification))
            while not sending.done() and (left := begun + self._longest_seconds - loop.time()) > 0:
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([sending], timeout=left)
        if not sending.done():
            sending.cancel()
            raise delivery_failed(
                f"Apprise did not end within {self._longest_seconds:g} s",
                self._confidential,
                kind=FailureKind.TIMEOUT,
            )
        if (failure := sending.result()) is not None:
            raise failure
        self._partial.forget(notification.id)

    async def _notify_in_thread(self, notification: Notification) -> DeliveryFailedError | None:
        deadline = time.monotonic() + self._send_seconds
        await self._threads.acquire()
        notifying = in_own_thread(partial(self._notify, notification, deadline), "Apprise")
        notifying.add_done_callback(self._free_thread)
        return await asyncio.shield(notifying)

    def _free_thread(self, ended: "asyncio.Future[DeliveryFailedError | None]") -> None:
        self._threads.release()
        if not ended.cancelled():
            # Nothing may be waiting for it any more.
            ended.exception()

    def preview(self, notification: Notification) -> str:
        message = self._message(notification)
        return redact(f"{message.title}\n\n{message.body}", self._confidential)

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    def _notify(self, notification: Notification, deadline: float) -> DeliveryFailedError | None:
        """None if every room has it, otherwise why not."""
        message = self._message(notification)
        rooms = [
            (f"{number}/{room}", plugin, room)
            for number, plugin in enumerate(self._plugins())
            for room in _rooms(plugin)
        ]
        names = [name for name, _, _ in rooms]
        remaining = self._partial.remaining(notification.id, names)
        causes: list[Cause] = []
        for name, plugin, room in rooms:
            if name not in remaining:
                continue
            if time.monotonic() >= deadline:
                causes.append(Cause("no time was left for the other rooms", FailureKind.TIMEOUT))
                break
            with self._network.activated() as broken:
                refusal = _send_to(plugin, room, message)
            if refusal is None:
                self._partial.record(notification.id, [name])
            else:
                causes.append(self._cause(refusal, broken))
        missing = self._partial.remaining(notification.id, names)
        if not missing:
            return None
        return self._failure(causes, f"{len(missing)} of {len(rooms)} rooms are missing: ", len(rooms))

    def _cause(self, said: str, broken: list[Cause]) -> Cause:
        """Why a room was not reached: from its response, or the reason why there was none."""
        kind = apprise_failure_kind(said)
        if kind is None and broken:
            return broken[-1]
        return Cause(said or "it does not say why", kind)

    def _failure(self, causes: list[Cause], summary: str, rooms: int) -> DeliveryFailedError:
        # If one room can still be reached, the notification is retried.
        first = next((cause for cause in causes if not cause.is_permanent), causes[0])
        reasons = [excerpt(cause.sentence, self._confidential) for cause in causes]
        return delivery_failed(
            f"Apprise could not deliver: {summary if rooms > 1 else ''}{'; '.join(dict.fromkeys(reasons))}",
            self._confidential,
            kind=first.kind,
            told_to_wait=first.kind is FailureKind.RATE_LIMITED,
        )

    def _message(self, notification: Notification) -> _Message:
        content = self._content.content(notification)
        lines = [content.body]
        if content.certificate_id:
            lines.append(f"Certificate: {single_line(content.certificate_id)}")
        if content.link:
            lines.append(content.link)
        lines.append(f"Notification: {idempotency_key(notification)}")
        return _Message(without_mentions(single_line(content.title)), without_mentions("\n\n".join(lines)))

    def _plugins(self) -> list[apprise.NotifyBase]:
        """Created for every send, because Apprise's objects are not thread-safe."""
        # Its redirects would be followed to any host.
        service = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
        if not service.add(self._url):
            raise ValueError("Apprise can't use the URL; its documentation says what the service needs")
        plugins: list[apprise.NotifyBase] = [*service]
        destination = self._destination
        for plugin in plugins:
            if "overflow=" not in self._url:
                plugin.overflow_mode = apprise.OverflowMode.SPLIT
            if destination.ca_file is not None and plugin.verify_certificate:
                # Passed to `requests`, which takes the path of a CA file here.
                plugin.verify_certificate = destination.ca_file  # type: ignore[assignment]
            if "connect_timeout" in destination.model_fields_set:
                plugin.socket_connect_timeout = destination.connect_timeout.total_seconds()
        return plugins


def without_mentions(text: str) -> str:
    """`text` without mentions of people or rooms in any service's syntax."""
    return _MENTION.sub(lambda found: f"{found[0]}{_NO_BREAK}", text)


def _uses_http(plugin: apprise.NotifyBase) -> bool:
    """Whether the service's module calls `requests`."""
    return any(hasattr(sys.modules.get(kind.__module__), "requests") for kind in type(plugin).__mro__)


def _rooms(plugin: apprise.NotifyBase) -> list[object]:
    """The targets that can be sent to separately; a service without a list of targets counts as one."""
    targets = getattr(plugin, "targets", None)
    return list(targets) if isinstance(targets, list) and len(targets) > 1 else [None]


def _send_to(plugin: apprise.NotifyBase, room: object, message: _Message) -> str | None:
    """Why it was not delivered; None if it was."""
    if room is not None:
        plugin.targets = [room]  # type: ignore[attr-defined]
    service = apprise.Apprise(asset=plugin.asset)
    service.add(plugin)
    result = service.notify(
        title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT.value
    )
    return None if result else "; ".join(entry.message for entry in result.logs())
