"""A notifier of your own: it writes every alert to a file, as one JSON object a line.

`pip install ./examples/custom_notifier` registers it under the name `audit-file`; see pyproject.toml for how,
and settings.toml for a channel that uses it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from certctl_mcp.notifiers import DeliveryFailedError
from storage.models import Notification


class AuditFile:
    """`options` is the table `options` of the channel in the settings.

    Raises:
        ValueError: the option `path` is missing.
    """

    def __init__(self, options: Mapping[str, str | int | float | bool]) -> None:
        path = options.get("path")
        if not isinstance(path, str):
            raise ValueError("needs the option `path`, the file to write to")
        self._path = Path(path)

    async def send(self, notification: Notification) -> None:
        """An alert is delivered at least once; a reader of the file knows a repeat by its id."""
        line = json.dumps({"id": notification.id, "type": notification.type, "message": notification.message})
        try:
            await anyio.to_thread.run_sync(self._append, line)
        except OSError as error:
            # Whatever else is raised counts as a failure too, but this one says what happened.
            raise DeliveryFailedError(f"{self._path} can't be written: {error.strerror}") from None

    async def aclose(self) -> None:
        """Nothing is open between sends."""

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
