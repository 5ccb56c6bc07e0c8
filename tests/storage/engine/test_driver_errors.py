"""Whatever is wrong with the file, there is one error that says so, and the file is left as it was."""

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
from tests.storage.foreign import connected, integrity, locked

NOBODY = 65534
SOON = timedelta(milliseconds=50)


async def open_and_list(path: Path, busy_timeout: timedelta = SOON) -> None:
    async with Database.open(f"sqlite:///{path}", busy_timeout=busy_timeout) as database:
        await NotificationRepository(database).list(NotificationFilter())


def refusal(path: Path, kind: type[StorageError]) -> str:
    """What is said when the file is opened, which must be one sentence about this file and this cause."""
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


def test_a_database_of_a_newer_program_is_left_to_it(database_path: Path) -> None:
    filled(database_path, rows=1)
    with connected(database_path) as other:
        other.execute("UPDATE certctl_mcp_version SET version_num = '9999'")
    before = database_path.read_bytes()
    message = refusal(database_path, DatabaseTooNewError)
    assert "'9999'" in message
    assert "upgrade certctl-mcp" in message
    assert database_path.read_bytes() == before


@pytest.mark.parametrize(
    "contents", [b"This is a letter to my aunt.\n" * 500, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 8192]
)
def test_what_is_no_database_is_left_alone(database_path: Path, contents: bytes) -> None:
    database_path.write_bytes(contents)
    assert str(database_path) in refusal(database_path, NotADatabaseError)
    assert database_path.read_bytes() == contents


def test_a_truncated_database_is_called_damaged(database_path: Path) -> None:
    filled(database_path)
    os.truncate(database_path, 20 * 4096)
    assert "is damaged; restore it from a backup" in refusal(database_path, NotADatabaseError)


def test_a_database_with_pages_overwritten_is_called_damaged(database_path: Path) -> None:
    filled(database_path)
    contents = bytearray(database_path.read_bytes())
    contents[20 * 4096 :] = b"\xa5" * (len(contents) - 20 * 4096)
    database_path.write_bytes(contents)
    assert "is damaged" in refusal(database_path, NotADatabaseError)


def test_a_directory_is_no_database(database_path: Path) -> None:
    database_path.mkdir()
    assert "can't be opened" in refusal(database_path, DatabaseReadOnlyError)


def test_a_file_is_no_directory_for_a_database(database_path: Path) -> None:
    database_path.write_text("a file")
    assert "can't be opened" in refusal(database_path / "notifications.db", DatabaseReadOnlyError)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may do anything, so it becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def anyone_s_directory() -> Iterator[Path]:
    """One that nobody can reach, as pytest's are not."""
    directory = Path(mkdtemp(prefix="certctl-mcp-test-"))
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["readable only", "not even readable"])
def test_a_file_without_the_right_to_write_it_is_refused_at_once(anyone_s_directory: Path, mode: int) -> None:
    path = filled(anyone_s_directory / "notifications.db", rows=1)
    path.chmod(mode)
    anyone_s_directory.chmod(0o777)
    with without_privileges():
        message = refusal(path, DatabaseReadOnlyError)
    assert ("may not write it" if mode else "may not read it") in message
    if os.geteuid() == 0:
        assert message.endswith("it belongs to root, so run this as that user: sudo -u root ...")
    path.chmod(0o644)
    assert integrity(path) == "ok"


def test_a_directory_that_this_user_may_not_enter_is_refused_with_its_owner(anyone_s_directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make one of another user")
    path = filled(anyone_s_directory / "notifications.db", rows=1)
    anyone_s_directory.chmod(0o700)
    with without_privileges():
        message = refusal(path, DatabaseReadOnlyError)
    assert "this user may not enter its directory; it belongs to root" in message


def test_a_directory_without_the_right_to_write_there_is_refused(anyone_s_directory: Path) -> None:
    path = filled(anyone_s_directory / "notifications.db", rows=1)
    path.chmod(0o666)
    anyone_s_directory.chmod(0o555)
    with without_privileges():
        assert str(path) in refusal(path, DatabaseReadOnlyError)


def test_a_directory_that_can_t_be_made_is_refused(anyone_s_directory: Path) -> None:
    anyone_s_directory.chmod(0o555)
    with without_privileges():
        message = refusal(anyone_s_directory / "new" / "notifications.db", DatabaseReadOnlyError)
    assert "Permission denied" in message


def test_a_file_locked_before_it_has_a_schema_is_busy(database_path: Path) -> None:
    with connected(database_path) as other:
        other.execute("CREATE TABLE anything (x)")
    with locked(database_path):
        message = refusal(database_path, DatabaseBusyError)
    assert "locked by another process for longer than the busy timeout" in message
    asyncio.run(open_and_list(database_path))


async def test_a_write_to_a_locked_database_is_refused_and_possible_later(
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


async def accept_without_end(repository: NotificationRepository, accepted: list[Notification]) -> None:
    while True:
        new = new_notification(message="x" * 10_000)
        accepted.append((await repository.accept(new)).notification)


async def test_on_a_full_disk_nothing_is_accepted_and_nothing_accepted_is_lost(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        accepted = [(await repository.accept(new_notification())).notification]
        filler = fill_up(small_disk)
        with pytest.raises(DiskFullError, match="the disk is full"):
            await accept_without_end(repository, accepted)
        stored = (await repository.list(NotificationFilter(), limit=500)).items
        assert sorted(stored, key=lambda n: n.id) == accepted
        filler.unlink()
        accepted.append((await repository.accept(new_notification())).notification)
    assert integrity(path) == "ok"
    async with Database.open(f"sqlite:///{path}") as database:
        stored = (await NotificationRepository(database).list(NotificationFilter(), limit=500)).items
    assert sorted(stored, key=lambda n: n.id) == accepted


def test_a_full_disk_is_named_also_when_a_database_is_to_be_created_on_it(small_disk: Path) -> None:
    filler = fill_up(small_disk)
    path = small_disk / "notifications.db"
    assert "full" in refusal(path, DiskFullError)
    filler.unlink()
    asyncio.run(open_and_list(path))


def limit_pages(transaction: Transaction, limits: Sequence[int]) -> list[None]:
    for limit in limits:
        transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}").close()
    return [None for _ in limits]


@pytest.mark.sqlite
async def test_after_a_write_that_did_not_fit_the_next_one_that_fits_is_written(database: Database) -> None:
    repository = NotificationRepository(database)
    accepted = (await repository.accept(new_notification())).notification
    await database.write(limit_pages, 60)
    with pytest.raises(DiskFullError, match="nothing was written"):
        await repository.accept(new_notification(message="x" * 900_000))
    await database.write(limit_pages, 1_000_000)
    assert (await repository.accept(new_notification())).created
    assert await repository.get(accepted.id) == accepted
