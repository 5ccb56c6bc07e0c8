"""Tool results: structured content, and the same JSON as text for clients that don't read it."""

from collections.abc import Mapping

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic_core import to_json

from certctl_mcp.mcp_server.answer_budget import fitted
from certctl_mcp.runtime.lifespan import Opening

ToolContext = Context[Opening]
"""The context of a call, through which a tool reaches the application."""


def answer(content: Mapping[str, object]) -> CallToolResult:
    """The result of a call, cut to the budget of an answer. `content` holds JSON values only."""
    bounded = fitted(content)
    text = TextContent(text=to_json(bounded).decode())
    return CallToolResult(content=[text], structured_content=bounded)


def refusal(explanation: str) -> CallToolResult:
    """The result of a call that did nothing, with what would be right."""
    return CallToolResult(content=[TextContent(text=explanation)], is_error=True)
