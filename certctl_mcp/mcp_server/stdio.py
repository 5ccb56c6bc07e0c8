"""How does a server live and die on stdio? It serves until there is no reason to, then ends in order.

The reasons to end: stdin ends, a signal comes, the parent dies, nobody reads stdout. Each closes the
server's side of the conversation, so that its lifespan exits as at any other end and can drain.
"""

import logging
import os
from datetime import timedelta

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.mcpserver import MCPServer
from mcp.shared.message import SessionMessage
from mcp_types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.standard_streams import claim_standard_streams, read_lines, write_line
from certctl_mcp.runtime.signals import leave_on_signal, leave_with_parent

logger = logging.getLogger(__name__)

ANSWERS_WITHIN = timedelta(seconds=5)
"""How long the answers to what was asked before stdin ended are waited for."""

_LAST_LINE = timedelta(seconds=1)
"""How long a peer may take to read what was answered last."""


async def serve_stdio(server: MCPServer, *, end_within: timedelta) -> None:
    """Serve `server` on this process's stdin and stdout until there is a reason to end; then return.

    What was asked before stdin ended is answered; after any other reason calls in flight are cancelled.
    The server's lifespan then exits normally. When that is not done `end_within` after the reason came, it
    is cancelled. A second signal ends the process at once.

    Raises what the lifespan raises.
    """
    parent = os.getppid()
    stdin, stdout = claim_standard_streams()
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception]()
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage]()
    conversation = _Conversation(stdin, stdout, to_server, from_server, end_within)
    lowlevel = lowlevel_server(server)
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(leave_on_signal, conversation.leave)
            tasks.start_soon(leave_with_parent, conversation.leave, parent)
            tasks.start_soon(conversation.listen)
            tasks.start_soon(conversation.speak)
            with conversation.serving:
                await lowlevel.run(incoming, outgoing, lowlevel.create_initialization_options())
            if conversation.serving.cancelled_caught:
                logger.warning("cut off: the server was not done after %s", end_within)
            with anyio.move_on_after(_LAST_LINE.total_seconds()):
                await conversation.spoken.wait()
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from None
        raise


class _Conversation:
    """One client's lines on one side, the server's streams on the other."""

    def __init__(
        self,
        stdin: int,
        stdout: int,
        to_server: MemoryObjectSendStream[SessionMessage | Exception],
        from_server: MemoryObjectReceiveStream[SessionMessage],
        end_within: timedelta,
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._to_server = to_server
        self._from_server = from_server
        self._end_within = end_within.total_seconds()
        self._listening = anyio.CancelScope()
        self._unanswered = _Unanswered()
        self.serving = anyio.CancelScope()
        self.spoken = anyio.Event()
        """Set when the server has said its last and the client has read it."""

    def leave(self, reason: str) -> None:
        """Hear no more. The server finds its input closed, and ends."""
        self._begin_to_end(reason)
        self._listening.cancel()

    async def listen(self) -> None:
        """Pass on what the client says; at its end, wait for the answers and then let the server end."""
        async with self._to_server:
            with self._listening:
                async for line in read_lines(self._stdin):
                    await self._hear(line)
                self._begin_to_end("stdin ended")
                with anyio.move_on_after(ANSWERS_WITHIN.total_seconds()):
                    await self._unanswered.none_left()

    async def speak(self) -> None:
        """Write what the server says. When nobody reads, it goes nowhere, and the server is to end."""
        async with self._from_server:
            try:
                async for message in self._from_server:
                    line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    await write_line(self._stdout, line.encode())
                    self._unanswered.answered(message.message)
            except OSError:
                self.leave("nobody reads stdout")
                async for _ in self._from_server:
                    pass
        self.spoken.set()

    async def _hear(self, line: bytes) -> None:
        try:
            message = jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False)
        except ValidationError as malformed:
            await self._to_server.send(malformed)
            return
        self._unanswered.asked(message)
        await self._to_server.send(SessionMessage(message))

    def _begin_to_end(self, reason: str) -> None:
        logger.info("ending: %s", reason)
        if self.serving.deadline == float("inf"):
            self.serving.deadline = anyio.current_time() + self._end_within


class _Unanswered:
    """The requests that the client waits for."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._changed = anyio.Event()

    def asked(self, message: JSONRPCMessage) -> None:
        match message:
            # A subscription is answered when it ends, and it ends with the conversation.
            case JSONRPCRequest(id=request) if message.method != "subscriptions/listen":
                self._ids.add(str(request))
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": request}):
                self._settle(request)

    def answered(self, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._settle(message.id)

    async def none_left(self) -> None:
        while self._ids:
            self._changed = anyio.Event()
            await self._changed.wait()

    def _settle(self, request: object) -> None:
        self._ids.discard(str(request))
        self._changed.set()
