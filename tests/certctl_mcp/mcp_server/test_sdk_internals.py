"""The private parts of the SDK are where this program looks for them, and are used from one module only."""

import ast
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.client import ConnectMode
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolRequestParams, CallToolResult

import certctl_mcp
from certctl_mcp.mcp_server.sdk_internals import connection_of, connection_state, lowlevel_server

MODES: list[ConnectMode] = ["legacy", "2026-07-28"]


def test_handlers_and_stdio_need_the_server_beneath_mcpserver() -> None:
    server = lowlevel_server(MCPServer[object]("probe"))
    assert isinstance(server, Server), "resources, prompts, completions and stdio can't be served without it"


@pytest.mark.parametrize("mode", MODES)
async def test_subscriptions_need_a_connection_that_outlives_the_request(mode: ConnectMode) -> None:
    server = MCPServer[object]("probe")
    seen: list[Connection] = []

    async def remember(ctx: ServerRequestContext[Any, Any], _: CallToolRequestParams) -> CallToolResult:
        connection_state(ctx.session)["probe"] = True
        seen.append(connection_of(ctx.session))
        return CallToolResult(content=[])

    lowlevel_server(server).add_request_handler("tools/call", CallToolRequestParams, remember)
    async with Client(server, mode=mode) as client:
        await client.call_tool("probe", {})
    (connection,) = seen
    assert isinstance(connection, Connection), "resources/subscribe keeps its subscriptions on the connection"
    assert connection.state["probe"] is True
    assert connection.exit_stack is not None, "subscriptions end with the connection"


def test_no_other_module_uses_a_private_part_of_the_sdk() -> None:
    """Attributes with one leading underscore are private; only `self` may have its own."""
    package = Path(certctl_mcp.__file__).parent
    suspects = {"_lowlevel_server", "_connection", "_mcp_server", "_session", "_request_context"}
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in suspects
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    }
    assert users == {"mcp_server/sdk_internals.py"}
    imports = {
        f"{path.relative_to(package).as_posix()}: {node.module}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in {"mcp", "mcp_types"}
        and (
            any(part.startswith("_") for part in (node.module or "").split("."))
            or any(alias.name.startswith("_") for alias in node.names)
        )
    }
    assert imports == set()
