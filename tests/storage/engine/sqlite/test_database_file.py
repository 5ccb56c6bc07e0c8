"""A database that is removed, moved or replaced while it is open loses nothing that was acknowledged."""

import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from storage.database import Database
from storage.engine.transaction import Transaction
from storage.errors import DatabaseTooNewError, DatabaseUnreachableError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.storage.raw_sql import connected, integrity, run

ALL = NotificationFilter()


def moved_away(path: Path) -> None:
    path.rename(path.with_name("away.db"))


def removed(path: Path) -> None:
    path.unlink()


def removed_with_its_wal(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


class Removal(Protocol):
    def __call__(self, path: Path) -> None: ...


removals = pytest.mark.parametrize("remove", [moved_away, removed, removed_with_its_wal])


@removals
async def test_without_the_file_accepts_and_reads_fail(
    repository: NotificationRepository, database_path: Path, remove: Removal
) -> None:
    await repository.accept(new_notification())
    remove(database_path)
    for _ in range(2):
        with pytest.raises(DatabaseUnreachableError, match="is gone: its file was removed or moved away"):
            await repository.accept(new_notification())
        with pytest.raises(DatabaseUnreachableError, match="put it back"):
            await repository.list(ALL)
    assert database_path.name not in os.listdir(database_path.parent)


async def test_a_file_moved_back_works_again(repository: NotificationRepository, database_path: Path) -> None:
    first = await repository.accept(new_notification())
    moved_away(database_path)
    with pytest.raises(DatabaseUnreachableError):
        await repository.accept(new_notification())
    database_path.with_name("away.db").rename(database_path)
    second = await repository.accept(new_notification())
    assert set(await repository.ids_beginning("", 9)) == {first.notification.id, second.notification.id}


def backup(path: Path) -> Path:
    """A copy of the database as it is now."""
    copy = path.with_name("backup.db")
    with connected(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    target.close()
    return copy


@removals
async def test_a_restored_backup_is_used_by_all_processes_and_not_corrupted(
    database: Database, database_url: str, database_path: Path, remove: Removal
) -> None:
    one = NotificationRepository(database)
    kept = (await one.accept(new_notification())).notification
    copy = backup(database_path)
    await one.accept(new_notification(message="after the backup"))
    async with Database.open(database_url) as elsewhere:
        other = NotificationRepository(elsewhere)
        assert len((await other.list(ALL)).items) == 2
        remove(database_path)
        copy.rename(database_path)
        ours = (await one.accept(new_notification())).notification
        theirs = (await other.accept(new_notification())).notification
        for repository in (one, other):
            assert set(await repository.ids_beginning("", 9)) == {kept.id, ours.id, theirs.id}
    assert integrity(database_path) == "ok"
    with connected(database_path) as later:
        assert later.execute("SELECT count(*) FROM notification_events").fetchone() == (3,)


async def test_a_waiting_process_notices_the_replacement(database: Database, database_path: Path) -> None:
    repository = NotificationRepository(database)
    accepted = await repository.accept(new_notification())
    copy = backup(database_path)
    version, before = database.changes.version, await database.changes.data_version()
    os.replace(copy, database_path)
    await database.changes.wait_beyond(version)
    assert await database.changes.data_version() not in {None, before}
    assert await repository.ids_beginning("", 9) == (accepted.notification.id,)


async def test_an_older_backup_is_migrated_and_one_of_a_newer_version_refused(
    database: Database, repository: NotificationRepository, database_path: Path
) -> None:
    copy = backup(database_path)
    run(copy, "DELETE FROM certctl_mcp_version")
    run(copy, "DROP TABLE notification_audit")
    newer = database_path.with_name("newer.db")
    shutil.copy(copy, newer)
    os.replace(copy, database_path)
    await repository.accept(new_notification(), actor="operator")
    run(newer, "INSERT INTO certctl_mcp_version VALUES ('9999')")
    os.replace(newer, database_path)
    # Watching for changes goes on: another file may come.
    assert await database.changes.data_version() is None
    for _ in range(2):
        with pytest.raises(DatabaseTooNewError, match="'9999'"):
            await repository.accept(new_notification())


async def test_a_file_moved_away_before_the_commit_stays_unchanged(
    database: Database, database_path: Path
) -> None:
    def accept_and_move(transaction: Transaction, items: Sequence[None]) -> list[None]:
        transaction.connection.exec_driver_sql("DELETE FROM notification_events").close()
        moved_away(database_path)
        return list(items)

    repository = NotificationRepository(database)
    accepted = (await repository.accept(new_notification())).notification
    with pytest.raises(DatabaseUnreachableError, match="is gone"):
        await database.write(accept_and_move, None)
    database_path.with_name("away.db").rename(database_path)
    assert await repository.get(accepted.id) == accepted


async def test_a_new_file_ignores_the_wal_of_a_removed_one(
    database: Database, database_url: str, database_path: Path
) -> None:
    await NotificationRepository(database).accept(new_notification())
    removed(database_path)
    async with Database.open(database_url) as fresh:
        assert (await NotificationRepository(fresh).list(ALL)).items == ()
        ours = await NotificationRepository(fresh).accept(new_notification())
        theirs = await NotificationRepository(database).accept(new_notification())
        expected = {ours.notification.id, theirs.notification.id}
        assert set(await NotificationRepository(database).ids_beginning("", 9)) == expected
        assert set(await NotificationRepository(fresh).ids_beginning("", 9)) == expected
    assert integrity(database_path) == "ok"
