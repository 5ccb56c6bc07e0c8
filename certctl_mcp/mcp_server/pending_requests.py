"""The requests for which a stdio client is still waiting. They determine when stdin is read and when the
server may end.

Their number is limited: a client that writes without reading fills its own pipe instead of the server's
memory, and thousands of simultaneous calls wait in the pipe for their turn instead of all timing out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio
from mcp_types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from certctl_mcp.mcp_server.jsonrpc_lines import Entry, Rejection, encoded

MAX_IN_PROGRESS = 100
"""The most requests handled at once. More would only wait for the same database."""

MAX_AWAITING_USER = 900
"""How many more requests may be in progress while others wait for the client's user.

The user's answers arrive on stdin, so reading must continue; each such wait has a timeout.
"""

_WITH_BATCHES = "2025-03-26"


@dataclass(eq=False, slots=True)
class OpenBatch:
    """A batch with requests that have no response yet."""

    waiting: set[RequestId]
    answers: list[object] = field(default_factory=list)
    received: bool = False
    """Whether all of its messages have been passed on."""


class PendingRequests:
    """Requests from the client and to the client without a response."""

    def __init__(self) -> None:
        self.batches = False
        """Whether the agreed protocol revision has batches."""
        self._ids: Counter[RequestId] = Counter()
        self._subscriptions: set[RequestId] = set()
        self._awaiting_client: set[RequestId] = set()
        self._initialize: RequestId | None = None
        self._open_batches: list[OpenBatch] = []
        self._changed = anyio.Event()

    def received(self, message: JSONRPCMessage) -> None:
        """A message from the client is about to be passed on to the server."""
        match message:
            case JSONRPCRequest(id=request, method="initialize"):
                self._initialize = request
                self._ids[request] += 1
            # A subscription gets its response when it ends, and it ends with the conversation.
            case JSONRPCRequest(id=request, method="subscriptions/listen"):
                self._subscriptions.add(request)
            case JSONRPCRequest(id=request):
                self._ids[request] += 1
            case JSONRPCNotification(
                method="notifications/cancelled", params={"requestId": int() | str() as request}
            ):
                # A cancelled request never gets a response.
                self._settle(request)
            case JSONRPCResponse(id=request) | JSONRPCError(id=request):
                if request is not None:
                    self._awaiting_client.discard(request)

    def joins_batch(self, message: JSONRPCMessage) -> bool:
        """Whether a message from the server is a response that is sent with the rest of its batch."""
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            for batch in self._open_batches:
                if message.id in batch.waiting:
                    batch.answers.append(message.model_dump(by_alias=True, exclude_unset=True, mode="json"))
                    return True
        return False

    def sent(self, message: JSONRPCMessage) -> None:
        """A message from the server has been written, or added to a batch."""
        match message:
            case JSONRPCResponse(id=request, result={"protocolVersion": agreed}) if (
                request == self._initialize
            ):
                self.batches = agreed == _WITH_BATCHES
                self._settle(request)
            case JSONRPCResponse(id=request) | JSONRPCError(id=request):
                if request is not None:
                    self._settle(request)
            case JSONRPCRequest(id=request):
                self._awaiting_client.add(request)
                self._notify()
            case JSONRPCNotification(
                method="notifications/cancelled", params={"requestId": int() | str() as request}
            ):
                self._awaiting_client.discard(request)

    async def wait_for_room(self) -> None:
        """Wait until another request may be in progress."""
        while self._ids.total() >= MAX_IN_PROGRESS + min(len(self._awaiting_client), MAX_AWAITING_USER):
            await self._wait_for_change()

    async def none_left(self) -> None:
        """Wait until every request has a response or is cancelled."""
        while self._ids:
            await self._wait_for_change()

    def open_batch(self, entries: Iterable[Entry]) -> OpenBatch:
        """Collect the responses to these messages, to send them together."""
        entries = tuple(entries)
        batch = OpenBatch(
            waiting={entry.id for entry in entries if isinstance(entry, JSONRPCRequest)},
            answers=[entry.reply for entry in entries if isinstance(entry, Rejection) and entry.reply],
        )
        self._open_batches.append(batch)
        return batch

    def take_answered_batches(self) -> list[bytes]:
        """The response lines of batches without outstanding requests; each is returned once."""
        done = [batch for batch in self._open_batches if batch.received and not batch.waiting]
        self._open_batches = [batch for batch in self._open_batches if batch not in done]
        return [encoded(batch.answers) for batch in done if batch.answers]

    def _settle(self, request: RequestId) -> None:
        self._subscriptions.discard(request)
        if self._ids[request] > 1:
            self._ids[request] -= 1
        else:
            del self._ids[request]
        for batch in self._open_batches:
            batch.waiting.discard(request)
        self._notify()

    async def _wait_for_change(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
