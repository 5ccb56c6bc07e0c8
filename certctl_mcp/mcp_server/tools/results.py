"""Tool results: structured content, and the same JSON as text for clients that don't read it."""

from collections.abc import Mapping

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic_core import to_json

from certctl_mcp.runtime.lifespan import Opening

ToolContext = Context[Opening]
"""Gives a tool its way to the application."""


def answer(content: Mapping[str, object]) -> CallToolResult:
    """`content` holds JSON values only."""
    text = TextContent(text=to_json(content).decode())
    return CallToolResult(content=[text], structured_content=dict(content))


def refusal(explanation: str) -> CallToolResult:
    """A call that did nothing, and what would be right."""
    return CallToolResult(content=[TextContent(text=explanation)], is_error=True)
