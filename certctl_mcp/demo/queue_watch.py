"""Watches the queue, and reports each change of a notification once."""

from collections.abc import Collection, Mapping

import anyio

from certctl_mcp.demo.alerts import Alert
from certctl_mcp.demo.assistant import Assistant
from certctl_mcp.demo.narrator import Narrator
from certctl_mcp.demo.server_process import MAX_ATTEMPTS
from certctl_mcp.mcp_server.tools.rows import Row
from storage.models import NotificationStatus

_PAUSE = 0.25
"""Seconds between two polls; the shortest wait for a retry is twice as long."""

_DUE = (NotificationStatus.PENDING, NotificationStatus.FAILED)


class QueueWatch:
    """Polls the queue through the assistant. `sent` maps ids to alerts."""

    def __init__(self, assistant: Assistant, narrator: Narrator, sent: Mapping[str, Alert]) -> None:
        self._assistant = assistant
        self._narrator = narrator
        self._sent = sent
        self._reported: dict[str, tuple[NotificationStatus, int]] = {}
        self._errors: dict[str, str] = {}

    async def until_none_is_due(self) -> None:
        """Report changes until every notification is delivered, dead or settled."""
        while True:
            rows = await self._look()
            if not any(row["status"] in _DUE for row in rows):
                return
            await anyio.sleep(_PAUSE)

    async def _look(self) -> Collection[Row]:
        # Listed newest first, reported in the order in which they were sent.
        rows = tuple(reversed(await self._assistant.look()))
        for row in rows:
            state = row["status"], row.get("attempts", 0)
            if self._reported.get(row["id"]) != state:
                self._reported[row["id"]] = state
                self._report(row)
        return rows

    def _report(self, row: Row) -> None:
        label = self._sent[row["id"]].label
        match row["status"]:
            case NotificationStatus.FAILED:
                attempt = f"attempt {row.get('attempts', 0)} of {MAX_ATTEMPTS}"
                self._narrator.queue(f"{label}: {attempt} failed{self._reason(row)}")
            case NotificationStatus.DEAD:
                self._narrator.queue(f"{label}: dead letter{self._reason(row)}", "red")
            case NotificationStatus.SENT:
                self._narrator.queue(f"{label}: delivered", "green")
            case NotificationStatus.PENDING | NotificationStatus.READ:
                pass

    def _reason(self, row: Row) -> str:
        """The error, unless it was the last one reported."""
        error = row["untrusted"].get("last_error", "")
        if self._errors.get(row["id"]) == error:
            return (
                " again with the same error"
                if row["status"] == NotificationStatus.FAILED
                else ", no attempts are left"
            )
        self._errors[row["id"]] = error
        return f": {error}"
