"""The assistant that answers: it has only the server's tools, and counts their cost."""

from dataclasses import dataclass
from typing import Any

from mcp import Client
from mcp_types import TextContent

from tests.tokens import tokens


@dataclass
class Assistant:
    """Reads the results as text, as a model does."""

    client: Client
    calls: int = 0
    tokens: int = 0

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        texts = [content.text for content in result.content if isinstance(content, TextContent)]
        self.calls += 1
        self.tokens += sum(map(tokens, texts))
        assert not result.is_error, texts
        structured: dict[str, Any] | None = result.structured_content
        assert structured is not None
        return structured

    async def pages(self, **arguments: Any) -> list[dict[str, Any]]:
        """Every notification that matches, page by page."""
        page = await self.call("list_notifications", limit=100, **arguments)
        found: list[dict[str, Any]] = page["notifications"]
        while cursor := page.get("next_cursor"):
            page = await self.call("list_notifications", limit=100, cursor=cursor, **arguments)
            found += page["notifications"]
        return found
