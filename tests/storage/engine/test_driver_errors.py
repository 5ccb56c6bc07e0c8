"""Each problem with the file raises one clear error and leaves the file unchanged."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import pytest

from storage.database import Database
from storage.engine.transaction import Transaction
from storage.errors import (
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseTooNewError,
    DiskFullError,
    NotADatabaseError,
    StorageError,
)
from storage.models import Notification, NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.storage.raw_sql import connected, integrity, locked

NOBODY = 65534
SOON = timedelta(milliseconds=50)


async def open_and_list(path: Path, busy_timeout: timedelta = SOON) -> None:
    async with Database.open(f"sqlite:///{path}", busy_timeout=busy_timeout) as database:
        await NotificationRepository(database).list(NotificationFilter())


def error_on_open(path: Path, kind: type[StorageError]) -> str:
    """The error message on opening the file, checked to be one sentence that names the file."""
    with pytest.raises(StorageError) as refused:
        asyncio.run(open_and_list(path))
    message = str(refused.value)
    assert type(refused.value) is kind
    assert "\n" not in message
    assert len(message) < 400
    return message


def filled(path: Path, *, rows: int = 200) -> Path:
    async def fill() -> None:
        async with Database.open(f"sqlite:///{path}") as database:
            repository = NotificationRepository(database)
            for number in range(rows):
                await repository.accept(new_notification(message=f"{number} " + "x" * 500))

    asyncio.run(fill())
    return path


def test_a_database_of_a_newer_version_is_left_alone(database_path: Path) -> None:
    filled(database_path, rows=1)
    with connected(database_path) as other:
        other.execute("UPDATE certctl_mcp_version SET version_num = '9999'")
    before = database_path.read_bytes()
    message = error_on_open(database_path, DatabaseTooNewError)
    assert "'9999'" in message
    assert "upgrade certctl-mcp" in message
    assert database_path.read_bytes() == before


@pytest.mark.parametrize(
    "contents", [b"This is a letter to my aunt.\n" * 500, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 8192]
)
def test_a_file_that_is_not_a_database_is_left_alone(database_path: Path, contents: bytes) -> None:
    database_path.write_bytes(contents)
    assert str(database_path) in error_on_open(database_path, NotADatabaseError)
    assert database_path.read_bytes() == contents


def test_a_truncated_database_is_reported_as_damaged(database_path: Path) -> None:
    filled(database_path)
    os.truncate(database_path, 20 * 4096)
    assert "is damaged; restore it from a backup" in error_on_open(database_path, NotADatabaseError)


def test_a_database_with_overwritten_pages_is_reported_as_damaged(database_path: Path) -> None:
    filled(database_path)
    contents = bytearray(database_path.read_bytes())
    contents[20 * 4096 :] = b"\xa5" * (len(contents) - 20 * 4096)
    database_path.write_bytes(contents)
    assert "is damaged" in error_on_open(database_path, NotADatabaseError)


def test_a_directory_is_not_a_database(database_path: Path) -> None:
    database_path.mkdir()
    assert "can't be opened" in error_on_open(database_path, DatabaseReadOnlyError)


def test_a_file_cannot_be_the_parent_directory(database_path: Path) -> None:
    database_path.write_text("a file")
    assert "can't be opened" in error_on_open(database_path / "notifications.db", DatabaseReadOnlyError)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Runs the block as the user nobody, because root may do anything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def accessible_directory() -> Iterator[Path]:
    """A directory that the user nobody can reach, unlike pytest's."""
    directory = Path(mkdtemp(prefix="certctl-mcp-test-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["readable only", "not even readable"])
def test_a_read_only_file_is_refused_at_once(accessible_directory: Path, mode: int) -> None:
    path = filled(accessible_directory / "notifications.db", rows=1)
    path.chmod(mode)
    accessible_directory.chmod(0o777)
    with without_privileges():
        message = error_on_open(path, DatabaseReadOnlyError)
    assert ("may not write it" if mode else "may not read it") in message
    if os.geteuid() == 0:
        assert message.endswith("it belongs to root, so run this as that user: sudo -u root ...")
    path.chmod(0o644)
    assert integrity(path) == "ok"


def test_a_directory_that_this_user_may_not_enter_is_refused_with_its_owner(
    accessible_directory: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can create a directory of another user")
    path = filled(accessible_directory / "notifications.db", rows=1)
    accessible_directory.chmod(0o700)
    with without_privileges():
        message = error_on_open(path, DatabaseReadOnlyError)
    assert "this user may not enter its directory; it belongs to root" in message


def test_a_read_only_directory_is_refused(accessible_directory: Path) -> None:
    path = filled(accessible_directory / "notifications.db", rows=1)
    path.chmod(0o666)
    accessible_directory.chmod(0o555)
    with without_privileges():
        assert str(path) in error_on_open(path, DatabaseReadOnlyError)


def test_a_directory_that_cannot_be_created_is_refused(accessible_directory: Path) -> None:
    accessible_directory.chmod(0o555)
    with without_privileges():
        message = error_on_open(accessible_directory / "new" / "notifications.db", DatabaseReadOnlyError)
    assert "Permission denied" in message


def test_a_file_locked_before_it_has_a_schema_is_reported_as_busy(database_path: Path) -> None:
    with connected(database_path) as other:
        other.execute("CREATE TABLE anything (x)")
    with locked(database_path):
        message = error_on_open(database_path, DatabaseBusyError)
    assert "locked by another process for longer than the busy timeout" in message
    asyncio.run(open_and_list(database_path))


async def test_a_write_to_a_locked_database_fails_and_works_later(
    database_path: Path, database_url: str
) -> None:
    async with Database.open(database_url, busy_timeout=SOON) as database:
        repository = NotificationRepository(database)
        with locked(database_path), pytest.raises(DatabaseBusyError, match="locked by another process"):
            await repository.accept(new_notification())
        accepted = (await repository.accept(new_notification())).notification
        assert (await repository.list(NotificationFilter())).items == (accepted,)


def fill_up(place: Path) -> Path:
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                return filler


async def accept_until_an_error(repository: NotificationRepository, accepted: list[Notification]) -> None:
    while True:
        new = new_notification(message="x" * 10_000)
        accepted.append((await repository.accept(new)).notification)


async def test_a_full_disk_refuses_alerts_and_loses_none(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        accepted = [(await repository.accept(new_notification())).notification]
        filler = fill_up(small_disk)
        with pytest.raises(DiskFullError, match="the disk is full"):
            await accept_until_an_error(repository, accepted)
        stored = (await repository.list(NotificationFilter(), limit=500)).items
        assert sorted(stored, key=lambda n: n.id) == accepted
        filler.unlink()
        accepted.append((await repository.accept(new_notification())).notification)
    assert integrity(path) == "ok"
    async with Database.open(f"sqlite:///{path}") as database:
        stored = (await NotificationRepository(database).list(NotificationFilter(), limit=500)).items
    assert sorted(stored, key=lambda n: n.id) == accepted


def test_creating_a_database_on_a_full_disk_reports_the_full_disk(small_disk: Path) -> None:
    filler = fill_up(small_disk)
    path = small_disk / "notifications.db"
    assert "full" in error_on_open(path, DiskFullError)
    filler.unlink()
    asyncio.run(open_and_list(path))


def limit_pages(transaction: Transaction, limits: Sequence[int]) -> list[None]:
    for limit in limits:
        transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}").close()
    return [None for _ in limits]


@pytest.mark.sqlite
async def test_a_write_that_fits_works_after_one_that_did_not(database: Database) -> None:
    repository = NotificationRepository(database)
    accepted = (await repository.accept(new_notification())).notification
    await database.write(limit_pages, 60)
    with pytest.raises(DiskFullError, match="nothing was written"):
        await repository.accept(new_notification(message="x" * 900_000))
    await database.write(limit_pages, 1_000_000)
    assert (await repository.accept(new_notification())).created
    assert await repository.get(accepted.id) == accepted
