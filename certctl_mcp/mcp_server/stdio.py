"""Serves MCP on stdin and stdout until there is a reason to end, then shuts down gracefully.

The reasons: stdin ends, a signal arrives, the parent dies, or nobody reads stdout. Each of them closes the
server's input, so that its lifespan exits as usual and deliveries can finish.
"""

import logging
import os
from datetime import timedelta

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.mcpserver import MCPServer
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage

from certctl_mcp.mcp_server.jsonrpc_lines import Batch, Entry, Rejection, encoded, oversized, read_message
from certctl_mcp.mcp_server.pending_requests import PendingRequests
from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.standard_streams import MAX_LINE, read_lines, write_line
from certctl_mcp.runtime.platform import claim_standard_streams
from certctl_mcp.runtime.signals import leave_on_signal, leave_with_parent

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = timedelta(seconds=5)
"""How long to wait for responses to requests from before the end of stdin."""

_LAST_WRITE_TIMEOUT = timedelta(seconds=1)
"""How long a peer may take to read the last responses."""


async def serve_stdio(server: MCPServer, *, end_within: timedelta) -> str | None:
    """Serve `server` on this process's stdin and stdout until there is a reason to end; then return it.

    Requests from before the end of stdin are answered; after any other reason calls in progress are
    cancelled. The server's lifespan then exits normally. If that takes longer than `end_within`, it is
    cancelled. A second signal ends the process at once.

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
            tasks.start_soon(conversation.receive)
            tasks.start_soon(conversation.send)
            with conversation.serving:
                await lowlevel.run(incoming, outgoing, lowlevel.create_initialization_options())
            if conversation.serving.cancelled_caught:
                logger.warning("cut off: the server did not finish within %s", end_within)
            with anyio.move_on_after(_LAST_WRITE_TIMEOUT.total_seconds()):
                await conversation.all_sent.wait()
            tasks.cancel_scope.cancel()
        return conversation.reason
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from None
        raise


class _Conversation:
    """Carries one client's lines to the server, and the server's messages back."""

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
        self._receiving = anyio.CancelScope()
        self._writing = anyio.Lock()
        self._pending = PendingRequests()
        self.serving = anyio.CancelScope()
        self.reason: str | None = None
        """The reason to end, such as the name of a signal."""
        self.all_sent = anyio.Event()
        """Set once the client has read the server's last message."""

    def leave(self, reason: str) -> None:
        """Stop reading. The server sees the end of its input and ends."""
        self._begin_shutdown(reason)
        self._receiving.cancel()

    async def receive(self) -> None:
        """Pass on the client's messages; at the end of stdin, wait for the responses and let the server
        end."""
        async with self._to_server:
            with self._receiving:
                async for line in read_lines(self._stdin):
                    await self._receive_line(line)
                self._begin_shutdown("stdin ended")
                with anyio.move_on_after(ANSWER_TIMEOUT.total_seconds()):
                    await self._pending.none_left()

    async def send(self) -> None:
        """Write the server's messages. Once nobody reads them, discard the rest and end."""
        async with self._from_server:
            try:
                async for message in self._from_server:
                    await self._send_message(message.message)
            except OSError:
                self.leave("nobody reads stdout")
                async for _ in self._from_server:
                    pass
        self.all_sent.set()

    async def _receive_line(self, line: bytes | None) -> None:
        read = oversized(MAX_LINE) if line is None else read_message(line, batches=self._pending.batches)
        match read:
            case None:
                return
            case Batch(entries, answered_together=True):
                batch = self._pending.open_batch(entries)
                for entry in entries:
                    await self._receive_entry(entry, answer=not isinstance(entry, Rejection))
                batch.received = True
            case Batch(entries):
                for entry in entries:
                    await self._receive_entry(entry)
            case entry:
                await self._receive_entry(entry)
        await self._write_batches()

    async def _receive_entry(self, entry: Entry, *, answer: bool = True) -> None:
        if isinstance(entry, Rejection):
            logger.warning("rejected a message from the client: %s", entry.reason)
            if answer and entry.reply is not None:
                await self._write(encoded(entry.reply))
            return
        # Stop reading stdin while many requests have no response, such as when the client doesn't read
        # stdout.
        await self._pending.wait_for_room()
        self._pending.received(entry)
        await self._to_server.send(SessionMessage(entry))

    async def _send_message(self, message: JSONRPCMessage) -> None:
        if not self._pending.joins_batch(message):
            await self._write(message.model_dump_json(by_alias=True, exclude_unset=True).encode())
        self._pending.sent(message)
        await self._write_batches()

    async def _write_batches(self) -> None:
        for line in self._pending.take_answered_batches():
            await self._write(line)

    async def _write(self, line: bytes) -> None:
        async with self._writing:
            await write_line(self._stdout, line)

    def _begin_shutdown(self, reason: str) -> None:
        logger.info("ending: %s", reason)
        self.reason = self.reason or reason
        if self.serving.deadline == float("inf"):
            self.serving.deadline = anyio.current_time() + self._end_within
