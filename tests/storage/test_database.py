import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.storage.raw_sql import connected, locked


async def test_data_survives_reopening(database_url: str) -> None:
    async with Database.open(database_url) as database:
        accepted = (await NotificationRepository(database).accept(new_notification())).notification
    async with Database.open(database_url) as database:
        assert await NotificationRepository(database).get(accepted.id) == accepted


async def test_missing_directories_are_created(tmp_path: Path) -> None:
    path = tmp_path / "state" / "certctl mcp" / "ü.db"
    async with Database.open(f"sqlite:///{path}"):
        assert path.is_file()


async def test_a_new_file_is_accessible_only_by_its_owner(database_path: Path, database_url: str) -> None:
    async with Database.open(database_url):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in database_path.parent.glob("*.db*")}
    assert modes == {0o600}


async def test_a_path_can_start_with_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Database.open("sqlite:///~/notifications.db") as database:
        assert database.location == str(tmp_path / "notifications.db")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("notifications.db", "can't be read"),
        ("", "can't be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://user:hunter2@db/certctl", "of the kind 'mysql' are not supported"),
    ],
)
async def test_an_unsupported_url_is_refused_with_a_correct_example(url: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as refused:
        async with Database.open(url):
            pass
    assert "use sqlite:/// and a path" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_an_exception_in_the_block_is_raised_unchanged(database_url: str) -> None:
    with pytest.raises(LookupError, match="of the user's"):
        async with Database.open(database_url):
            raise LookupError("of the user's")


async def test_closing_leaves_only_the_database_file(database_path: Path, database_url: str) -> None:
    async with Database.open(database_url) as database:
        await NotificationRepository(database).accept(new_notification())
    assert os.listdir(database_path.parent) == [database_path.name]


async def test_commits_are_synced_to_disk(database: Database, database_path: Path) -> None:
    with connected(database_path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    synchronous = await database.write(
        lambda transaction, items: [
            transaction.connection.exec_driver_sql("PRAGMA synchronous").scalar_one() for _ in items
        ],
        None,
    )
    assert synchronous == 2


async def test_readers_do_not_wait_for_a_writer_of_another_process(
    database: Database, database_path: Path
) -> None:
    repository = NotificationRepository(database)
    accepted = (await repository.accept(new_notification())).notification
    with locked(database_path):
        assert (await repository.list(NotificationFilter())).items == (accepted,)


async def test_a_write_works_after_one_of_another_process(database: Database, database_path: Path) -> None:
    with connected(database_path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO certctl_mcp_version VALUES ('0000')")
        other.execute("DELETE FROM certctl_mcp_version WHERE version_num = '0000'")
        other.execute("COMMIT")
        assert (await NotificationRepository(database).accept(new_notification())).created


async def test_opening_does_not_wait_for_a_writer_of_another_process(
    database_path: Path, database_url: str
) -> None:
    async with Database.open(database_url) as database:
        accepted = (await NotificationRepository(database).accept(new_notification())).notification
    with locked(database_path):
        async with Database.open(database_url, busy_timeout=timedelta(minutes=1)) as database:
            assert await NotificationRepository(database).get(accepted.id) == accepted
