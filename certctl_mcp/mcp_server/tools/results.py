"""Tool results: structured content, and the same JSON as text for clients that don't read it.

A result with texts from outside says so in its `_meta` too, for hosts that track what a model has read.
"""

from collections.abc import Mapping

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic_core import to_json

from certctl_mcp.mcp_server.answer_budget import fitted
from certctl_mcp.runtime.lifespan import Opening

Meta = dict[str, dict[str, bool]]

ToolContext = Context[Opening]
"""The context of a call, through which a tool reaches the application."""


def answer(content: Mapping[str, object]) -> CallToolResult:
    """The result of a call, cut to the token budget. `content` contains only JSON values."""
    bounded = fitted(content)
    text = to_json(bounded).decode()
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=bounded, _meta=untrusted_meta(text)
    )


def refusal(explanation: str, similar: str | None = None) -> CallToolResult:
    """The result of a call that was refused, with an explanation.

    `similar` is a name from outside that may have been meant.
    """
    if similar is None:
        return CallToolResult(content=[TextContent(text=explanation)], is_error=True)
    suggestion = to_json(untrusted_suggestion(similar)).decode()
    text = TextContent(text=f"{explanation}\n{suggestion}")
    return CallToolResult(content=[text], is_error=True, _meta=untrusted_meta(suggestion))


def untrusted_meta(written: str) -> Meta | None:
    """The `_meta` of a result, by its JSON text: whether it holds texts from outside.

    The form is that of the specification's drafts (SEP-1913).
    """
    # No string in it can contain this, because its quotes would be escaped.
    return {"annotations": {"openWorldHint": True}} if '"untrusted":' in written else None


def untrusted_suggestion(similar: str) -> dict[str, dict[str, str]]:
    """A name from outside that may have been meant, marked as untrusted like all text from outside."""
    return {"untrusted": {"did_you_mean": similar}}
