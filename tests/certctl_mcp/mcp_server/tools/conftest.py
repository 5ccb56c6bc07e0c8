"""The server as a client uses it, on a real database, with channels that behave as a test needs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.config.tool_groups import ToolGroup
from storage.database import Database
from tests.builders import SettableClock
from tests.context_in_task import ContextInTask
from tests.in_process_server import FakeNotifier, server


@dataclass
class Assistant:
    """Calls tools and reads the results as both kinds of client do."""

    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer; the text must say the same."""
        result = await self._result(tool, arguments)
        assert not result.is_error, result.content
        structured: dict[str, Any] | None = result.structured_content
        assert structured is not None
        return structured

    async def text(self, tool: str, **arguments: Any) -> str:
        return _text(await self._result(tool, arguments))

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The reason why the call was refused."""
        result = await self._result(tool, arguments)
        assert result.is_error
        assert result.structured_content is None
        return _text(result)

    async def _result(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)


def _text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def webhook() -> FakeNotifier:
    return FakeNotifier()


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Serves every tool, including those that an operator must enable by name."""
    return load_settings(None, {"CERTCTL_DATABASE_URL": database_url}, tools=tuple(ToolGroup))


@pytest.fixture
async def assistant(
    database: Database, clock: SettableClock, settings: Settings, webhook: FakeNotifier
) -> AsyncIterator[Assistant]:
    """Connected to a server whose one channel is `Webhook`. It delivers in sweeps only."""
    context = ContextInTask(Client(server(database, clock, settings, {"Webhook": webhook})))
    yield Assistant(await context.enter())
    await context.exit()
