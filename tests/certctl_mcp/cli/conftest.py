import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from certctl_mcp.cli.main import run
from storage.clock import utc_now
from storage.database import Database
from storage.models import Notification
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock

Made = TypeVar("Made")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class CommandLine:
    """The program, run in this process on its own database."""

    def __init__(self, database: Path, migrated: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.database = database
        self._migrated = migrated
        self._capture = capture

    def __call__(self, *arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *self._capture.readouterr())

    def having(self, make: Callable[[Queue], Awaitable[Made]]) -> Made:
        """Run `make` on the queue before the command runs; returns its result."""
        if not self.database.exists():
            shutil.copy(self._migrated, self.database)

        async def made() -> Made:
            clock = SettableClock(utc_now())
            async with Database.open(f"sqlite:///{self.database}", clock=clock) as database:
                return await make(Queue(NotificationRepository(database), clock))

        return asyncio.run(made())

    def stored(self, notification_id: str) -> Notification:
        return self.having(lambda queue: queue.repository.get(notification_id))


@pytest.fixture
def command_line(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    for name in os.environ:
        if name.startswith("CERTCTL_"):
            monkeypatch.delenv(name)
    database = tmp_path / "notifications.db"
    monkeypatch.setenv("CERTCTL_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("CERTCTL_WEBHOOK_URL", "http://127.0.0.1:9/hooks/unreachable")
    return CommandLine(database, migrated, capsys)
