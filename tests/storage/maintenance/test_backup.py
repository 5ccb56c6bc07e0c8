"""A backup of a database in use is complete, private and a new file, or it isn't made at all."""

import os
import stat
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.maintenance.backup import BackupRefusedError, backup
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import Queue, SettableClock
from tests.storage.raw_sql import integrity, locked

STATES = ("pending", "failed", "dead", "sent", "skipped", "read")


@pytest.mark.sqlite
async def test_a_backup_is_complete_and_private_and_the_database_keeps_working(
    queue: Queue, database_url: str, tmp_path: Path, clock: SettableClock
) -> None:
    for state in STATES:
        await getattr(queue, state)(message=state)
    file = tmp_path / "backup.db"
    done = backup(database_url, file)
    before = await queue.repository.list(NotificationFilter())
    await queue.pending()
    assert (done.notifications, done.size) == (len(STATES), file.stat().st_size)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert integrity(file) == "ok"
    assert [name for name in os.listdir(tmp_path) if "backup" in name] == ["backup.db"]
    async with Database.open(f"sqlite:///{file}", clock=clock) as restored:
        assert await NotificationRepository(restored).list(NotificationFilter()) == before


@pytest.mark.sqlite
async def test_a_writer_does_not_delay_a_backup(queue: Queue, database_path: Path, tmp_path: Path) -> None:
    await queue.pending()
    with locked(database_path):
        assert backup(f"sqlite:///{database_path}", tmp_path / "backup.db").notifications == 1


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_an_existing_file_is_never_overwritten(
    kind: str, fresh_url: str, database_path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    if kind == "file":
        file.write_text("precious")
    elif kind == "link":
        file.symlink_to("nowhere")
    else:
        file.mkdir()
    before = sorted(os.listdir(tmp_path)), file.lstat()
    with pytest.raises(BackupRefusedError, match="exists, and a backup never overwrites a file"):
        backup(fresh_url, file)
    assert (sorted(os.listdir(tmp_path)), file.lstat()) == before


def test_a_missing_database_is_not_created(database_path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        backup(f"sqlite:///{database_path}", tmp_path / "backup.db")
    assert os.listdir(tmp_path) == []


def test_a_damaged_database_leaves_no_partial_backup(
    fresh_url: str, database_path: Path, tmp_path: Path
) -> None:
    contents = bytearray(database_path.read_bytes())
    contents[4096 * 2 : 4096 * 4] = b"\xa5" * 4096 * 2
    database_path.write_bytes(contents)
    with pytest.raises(StorageError, match=r"can't be backed up to .*: .*(damaged|malformed)"):
        backup(fresh_url, tmp_path / "backup.db")
    assert not [name for name in os.listdir(tmp_path) if "backup" in name]


def test_an_unwritable_target_is_an_error_with_the_reason(
    fresh_url: str, database_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=r"backup\.db can't be written: No such file or directory"):
        backup(fresh_url, tmp_path / "missing" / "backup.db")


def test_the_error_for_postgresql_names_pg_dump_and_no_password(tmp_path: Path) -> None:
    with pytest.raises(BackupRefusedError) as refused:
        backup("postgresql://certctl:hunter2@db/certctl", tmp_path / "backup.dump")
    command = f"pg_dump --format=custom --file={tmp_path}/backup.dump postgresql://certctl@db/certctl"
    assert command in str(refused.value)
    assert "hunter2" not in str(refused.value)
