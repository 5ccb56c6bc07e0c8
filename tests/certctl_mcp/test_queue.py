"""The Python API: send, deliver and manage notifications without a server."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import certctl_mcp
from certctl_mcp import (
    IdempotencyConflictError,
    NewNotification,
    NotificationConflictError,
    NotificationFilter,
    NotificationNotFoundError,
    NotificationStatus,
    Queue,
    RequestError,
    SettingsError,
    StorageError,
    UnknownChannelError,
)
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.testing import MemoryQueue, SyncMemoryQueue
from tests.certctl_mcp.notifiers.receiver import serve

ALERT = NewNotification(type="ExpirationWarning", channel="Webhook", message="api.example.com expires")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CERTCTL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CERTCTL_WEBHOOK_URL", "http://127.0.0.1:9/")


async def test_sent_notifications_are_stored_and_drained(tmp_path: Path) -> None:
    async with Queue.open(tmp_path / "queue.db") as queue:
        accepted = await queue.send(ALERT)
        assert accepted.created
    async with Queue.open(tmp_path / "queue.db") as queue:
        report = await queue.drain()
        assert (report.sent, report.failed) == (0, 1)
        stored = await queue.get(accepted.notification.id)
        assert stored.status is NotificationStatus.FAILED
        assert len(await queue.attempts(stored.id)) == 1
        assert await queue.find(NotificationFilter(channel="Webhook")) == (stored,)
        assert (await queue.requeue(stored.id)).status is NotificationStatus.PENDING
        assert (await queue.mark_as_read(stored.id)).status is NotificationStatus.READ
        assert await queue.count(NotificationFilter(statuses=(NotificationStatus.READ,))) == 1


@pytest.mark.parametrize("kind", ["url", "path", "text", "settings", "file"])
async def test_a_queue_opens_at_the_given_location(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "queue.db"
    file = tmp_path / "settings.toml"
    file.write_text(f'database_url = "sqlite:///{database}"\n')
    settings = load_settings(None, {"CERTCTL_DATABASE_URL": f"sqlite:///{database}"})
    sources: dict[str, Settings | Path | str] = {
        "url": f"sqlite:///{database}",
        "path": database,
        "text": str(database),
        "settings": settings,
        "file": str(file),
    }
    async with Queue.open(sources[kind]) as queue:
        assert await queue.count(NotificationFilter()) == 0
    assert database.exists()


def test_the_settings_file_can_be_named_by_a_string(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("max_attempts = 3\n")
    assert load_settings(str(file), {}).max_attempts == 3


async def test_invalid_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Queue.open(tmp_path / "queue.db") as queue:
        with pytest.raises(UnknownChannelError, match="did you mean 'Webhook'"):
            await queue.send(ALERT.model_copy(update={"channel": "webhok"}))
        with pytest.raises(NotificationNotFoundError):
            await queue.get("notif-nowhere")
        pending = (await queue.send(ALERT)).notification
        with pytest.raises(NotificationConflictError):
            await queue.requeue(pending.id)
    monkeypatch.setenv("CERTCTL_NOTIFICATION_DELIVER", "false")
    with pytest.raises(RequestError, match="must not deliver"):
        async with Queue.open(tmp_path / "queue.db", deliver=True):
            pass


async def test_background_delivery_raises_the_exception_of_the_body(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Queue.open(tmp_path / "queue.db", deliver=True):
            raise KeyError("mine")


async def test_a_queue_can_deliver_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as receiver:
        monkeypatch.setenv("CERTCTL_WEBHOOK_URL", receiver.url)
        async with Queue.open(tmp_path / "queue.db", deliver=True) as queue:
            sent = (await queue.send(ALERT)).notification
            with anyio.fail_after(10):
                changes, version = queue._application.repository.changes, -1
                while not (await queue.get(sent.id)).delivered:
                    version = await changes.wait_beyond(version)
        assert len(receiver.received) == 1


def test_a_queue_can_be_used_without_async(tmp_path: Path) -> None:
    with Queue.sync(tmp_path / "queue.db") as queue:
        sent = queue.send(ALERT).notification
        assert queue.drain().failed == 1
        assert queue.get(sent.id).retry_count == 1
        assert [each.id for each in queue.find(NotificationFilter(), limit=1)] == [sent.id]
        with pytest.raises(NotificationNotFoundError):
            queue.requeue("notif-nowhere")


def test_used_after_its_context_it_says_that_it_was_closed(tmp_path: Path) -> None:
    with Queue.sync(tmp_path / "queue.db") as queue:
        pass
    with pytest.raises(StorageError, match="closed"):
        queue.send(ALERT)


def test_every_error_that_is_documented_can_be_caught_by_its_public_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError), Queue.sync(tmp_path / "missing.toml"):
        pass
    with Queue.sync(tmp_path / "queue.db") as queue:
        keyed = ALERT.model_copy(update={"idempotency_key": "once"})
        queue.send(keyed)
        with pytest.raises(IdempotencyConflictError):
            queue.send(keyed.model_copy(update={"message": "other"}))


async def test_a_memory_queue_records_what_it_delivers() -> None:
    async with MemoryQueue.for_tests(["Webhook", "Email"]) as queue:
        sent = (await queue.send(ALERT)).notification
        queue.channels["Email"].refusal = "the relay is down"
        await queue.send(ALERT.model_copy(update={"channel": "Email"}))
        report = await queue.drain()
        assert (report.sent, report.failed) == (1, 1)
        assert [each.id for each in queue.delivered] == [sent.id]
        with pytest.raises(UnknownChannelError):
            await queue.send(ALERT.model_copy(update={"channel": "Slack"}))


def test_every_public_name_exists_and_is_imported_on_first_use() -> None:
    for name in certctl_mcp.__all__:
        assert getattr(certctl_mcp, name) is not None
    assert dir(certctl_mcp) == sorted(certctl_mcp.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Quue'"):
        certctl_mcp.Quue  # noqa: B018
    code = "import sys, certctl_mcp; print('sqlalchemy' in sys.modules, 'pydantic' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False False\n"


def test_the_synchronous_queue_has_every_method() -> None:
    def public(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    assert public(certctl_mcp.SyncQueue) == public(Queue) - {"open", "sync"}
    assert issubclass(SyncMemoryQueue, certctl_mcp.SyncQueue)
