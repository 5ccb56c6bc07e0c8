"""The assistant of the demo: calls the server's tools over MCP and prints what it does."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from mcp import Client
from mcp_types import TextContent
from pydantic import TypeAdapter

from certctl_mcp.demo.alerts import Alert
from certctl_mcp.demo.narrator import Narrator
from certctl_mcp.mcp_server.tools.details import NotificationDetails
from certctl_mcp.mcp_server.tools.listing import NotificationList
from certctl_mcp.mcp_server.tools.rows import Row
from certctl_mcp.mcp_server.tools.single import Accepted, Changed

Result = TypeVar("Result")
Arguments = Mapping[str, str | list[str]]

_ACCEPTED = TypeAdapter(Accepted)
_CHANGED = TypeAdapter(Changed)
_LIST = TypeAdapter(NotificationList)
_DETAILS = TypeAdapter(NotificationDetails)


class ToolRefusedError(Exception):
    """A tool call of the demo failed."""


class Assistant:
    """A client of the server that prints its calls and an excerpt of each result."""

    def __init__(self, client: Client, narrator: Narrator) -> None:
        self._client = client
        self._narrator = narrator

    async def send(self, alert: Alert, *, shown: bool) -> str:
        """The id of the accepted alert."""
        arguments = {
            "channel": alert.channel,
            "type": alert.type,
            "message": alert.message,
            "certificate_id": alert.certificate_id,
            **({"recipient": alert.recipient} if alert.recipient else {}),
        }
        accepted = await self._call("send_notification", arguments, _ACCEPTED, shown=shown)
        if shown:
            self._narrator.answer(_json(accepted))
        return accepted["id"]

    async def look(self) -> Sequence[Row]:
        """Everything in the queue. This call is not printed, because it is made often."""
        return (await self._call("list_notifications", {"form": "detailed"}, _LIST, shown=False))[
            "notifications"
        ]

    async def list_dead(self) -> None:
        dead = await self._call("list_notifications", {"status": ["dead"]}, _LIST)
        for row in dead["notifications"]:
            others = row["untrusted"]
            texts = {"channel": others["channel"], "last_error": others.get("last_error", "")}
            self._narrator.answer(_json({"id": row["id"], "untrusted": texts}, cut=True))

    async def summarize(self) -> None:
        summary = await self._call("dashboard_summary", {}, TypeAdapter(dict[str, object]))
        fields = ("notifications_dead", "notifications")
        self._narrator.answer(_json({field: summary[field] for field in fields}, cut=True))

    async def explain(self, notification: str) -> None:
        details = await self._call("get_notification", {"id": notification}, _DETAILS)
        self._narrator.answer(_json({"account": details["account"]}, cut=True))

    async def requeue(self, notification: str) -> None:
        changed = await self._call("requeue_notification", {"id": notification}, _CHANGED)
        self._narrator.answer(_json(changed))

    async def settle(self, notification: str) -> None:
        changed = await self._call("mark_notification_read", {"id": notification}, _CHANGED)
        self._narrator.answer(_json(changed))

    async def _call(
        self, tool: str, arguments: Arguments, answer: TypeAdapter[Result], *, shown: bool = True
    ) -> Result:
        if shown:
            await self._narrator.call(tool, _json(arguments))
        result = await self._client.call_tool(tool, dict(arguments))
        if result.is_error:
            said = " ".join(content.text for content in result.content if isinstance(content, TextContent))
            raise ToolRefusedError(f"{tool}: {said}")
        return answer.validate_python(result.structured_content)


def _json(content: object, *, cut: bool = False) -> str:
    written = json.dumps(content)
    return f"{written[:-1]}, ...}}" if cut else written
