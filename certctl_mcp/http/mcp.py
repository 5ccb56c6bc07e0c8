"""MCP over HTTP: one MCP server per role, all sharing the process's application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from certctl_mcp.config.api_keys import Role
from certctl_mcp.http.auth.principal import actor_of, caller_of, permitted_tools
from certctl_mcp.http.jsonrpc_body import ReadJsonRpcBody
from certctl_mcp.http.limits import retry_after
from certctl_mcp.http.mcp_headers import Representation, normalized_headers, representation
from certctl_mcp.http.problem_details import problem_response
from certctl_mcp.http.sessions import MAX_SESSIONS, Session, Sessions
from certctl_mcp.http.streams import EndStreams, Streams
from certctl_mcp.mcp_server.call_meter import CallMeter
from certctl_mcp.mcp_server.caller import HTTP_ACTOR
from certctl_mcp.mcp_server.sdk_internals import lowlevel_server
from certctl_mcp.mcp_server.server import build_shared_server
from certctl_mcp.runtime.lifespan import Opening

_SESSION_ID = "mcp-session-id"
_VERSION = "mcp-protocol-version"
_VERSIONS = (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS)
_ANSWERS = (Representation.EVENTS, Representation.JSON)

Managers = dict[tuple[Role, Representation], StreamableHTTPSessionManager]


@dataclass(frozen=True, slots=True)
class McpEndpoint:
    """The ASGI application at `/mcp`. A session belongs to the caller that opened it."""

    managers: Managers
    streams: Streams
    sessions: Sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        caller = caller_of(scope)
        wanted = representation(headers.get("accept"))
        if (caller.role, Representation.EVENTS) not in self.managers:
            response = problem_response(
                scope, 403, "The operator has disabled every tool that this key may use."
            )
        elif wanted is None:
            message = "Not acceptable: accept application/json, text/event-stream, or better both."
            response = problem_response(scope, 406, message)
        elif (version := headers.get(_VERSION)) is not None and version not in _VERSIONS:
            message = f"Unsupported MCP-Protocol-Version; supported: {', '.join(_VERSIONS)}."
            response = problem_response(scope, 400, message)
        else:
            if "user" not in scope:
                token = AccessToken(token="", client_id=caller.name, scopes=[])
                scope["user"] = AuthenticatedUser(token)
            scope[HTTP_ACTOR] = actor_of(scope)
            scope["headers"] = normalized_headers(scope["headers"])
            await self._serve(scope, receive, _ExplainErrors(scope, send), self.managers[caller.role, wanted])
            return
        await response(scope, receive, send)

    async def _serve(
        self, scope: Scope, receive: Receive, send: "_ExplainErrors", manager: StreamableHTTPSessionManager
    ) -> None:
        headers = Headers(scope=scope)
        session_id = headers.get(_SESSION_ID)
        session = None if session_id is None else self.sessions.find(session_id)
        if session is not None and session_id is not None:
            with self.sessions.using(session):
                await self._run(session.manager, scope, receive, send)
            if send.status == 404 or (scope["method"] == "DELETE" and send.status < 400):
                self.sessions.remove(session_id)
        elif session_id is None and headers.get(_VERSION) not in MODERN_PROTOCOL_VERSIONS:
            await self._open(scope, receive, send, manager)
        else:
            await self._run(manager, scope, receive, send)

    async def _open(
        self, scope: Scope, receive: Receive, send: "_ExplainErrors", manager: StreamableHTTPSessionManager
    ) -> None:
        """Serve a request that may open a session."""
        actor = scope[HTTP_ACTOR]
        to_end = self.sessions.sessions_to_end(actor)
        if to_end is None:
            message = "Too many sessions are open and in use; end some first."
            await problem_response(scope, 429, message, retry_after(1))(scope, receive, send)
            return
        for session in to_end:
            await self._end(session)
        with ExitStack() as using:

            def opened(session_id: str) -> None:
                session = Session(session_id, actor, manager, scope["user"])
                self.sessions.add(session)
                using.enter_context(self.sessions.using(session))

            send.opened = opened
            await self._run(manager, scope, receive, send)

    async def _end(self, session: Session) -> None:
        """End a session as its client would, which is the SDK's public way."""
        self.sessions.remove(session.id)
        scope: Scope = {
            "type": "http",
            "method": "DELETE",
            "path": "/mcp",
            "query_string": b"",
            "headers": [(_SESSION_ID.encode(), session.id.encode())],
            "user": session.user,
        }
        await session.manager.handle_request(scope, _no_body, _discard)

    async def _run(
        self, manager: StreamableHTTPSessionManager, scope: Scope, receive: Receive, send: Send
    ) -> None:
        app = ReadJsonRpcBody(EndStreams(manager.handle_request, self.streams))
        await app(scope, receive, send)


class _ExplainErrors:
    """A `send` that records the response, and adds a problem document to an error without a body."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status = 0
        self.opened: Callable[[str], None] | None = None
        """Called with the id of a session when the response shows that it is open."""
        self._scope = scope
        self._send = send
        self._held: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400:
                self._held = message
                return
            session_id = Headers(raw=message["headers"]).get(_SESSION_ID)
            if self.opened is not None and session_id is not None:
                self.opened(session_id)
        elif self._held is not None:
            start, self._held = self._held, None
            if not message.get("body") and not message.get("more_body"):
                await self._explain(start)
                return
            await self._send(start)
        await self._send(message)

    async def _explain(self, start: Message) -> None:
        kept = {
            name.decode(): value.decode()
            for name, value in start["headers"]
            if name.lower() not in (b"content-length", b"content-type")
        }
        response = problem_response(
            self._scope, self.status, _EXPLANATIONS.get(self.status, "Refused."), kept
        )
        await self._send(
            {"type": "http.response.start", "status": self.status, "headers": response.raw_headers}
        )
        await self._send({"type": "http.response.body", "body": response.body})


_EXPLANATIONS = {
    405: "Method not allowed: this protocol revision uses POST only.",
    406: "Not acceptable: accept text/event-stream for a stream of events.",
}


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(_: Message) -> None:
    """A `send` for a response that nobody is waiting for."""


@asynccontextmanager
async def mcp_endpoint(
    opened: Opening,
    streams: Streams,
    calls: CallMeter,
) -> AsyncIterator[McpEndpoint]:
    """Serves callers of every role, and counts their calls; their sessions end when the context exits."""
    settings = opened.settings
    async with AsyncExitStack() as stack:
        managers: Managers = {}
        for role in Role:
            tools = permitted_tools(role, settings)
            if tools:
                server = build_shared_server(opened, tools, calls)
                for answers in _ANSWERS:
                    managers[role, answers] = manager = StreamableHTTPSessionManager(
                        lowlevel_server(server),
                        json_response=answers is Representation.JSON,
                        max_request_body_size=settings.http.max_body_size,
                        # `Sessions` makes room before the SDK's own limit is reached.
                        max_sessions=2 * MAX_SESSIONS,
                    )
                    await stack.enter_async_context(manager.run())
        yield McpEndpoint(managers, streams, Sessions())
