"""The private parts of the SDK that this program relies on, kept in one place.

The SDK has no public API for them. `tests/certctl_mcp/mcp_server/test_sdk_internals.py` fails when an upgrade
moves one, and names the feature that would break.
"""

from typing import Any, TypeVar

from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession

LifespanResult = TypeVar("LifespanResult")


def lowlevel_server(server: MCPServer[LifespanResult]) -> Server[LifespanResult]:
    """The server beneath `MCPServer`.

    It takes handlers for methods for which `MCPServer` has no decorator, and runs on streams that the caller
    passes in: the SDK's own stdio reader waits in a thread that can't be stopped.
    """
    return server._lowlevel_server


def connection_of(session: ServerSession) -> Connection:
    """The connection on which a request arrived. Unlike a session, it outlives the request."""
    connection: Connection = session._connection
    return connection


def connection_state(session: ServerSession) -> dict[str, Any]:
    """A dictionary that lasts as long as the connection. Keys are this program's own."""
    state: dict[str, Any] = connection_of(session).state
    return state
