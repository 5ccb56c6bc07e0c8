"""With little disk space left, new alerts are refused, but those already accepted are still delivered."""

from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import DiskFullError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import TOOK, new_notification, request
from tests.storage.raw_sql import integrity, run

MANY = 150
FREE_BYTES = 200_000
"""Far less than the WAL usually grows to before SQLite truncates it."""


def fill_up_to(room: int, place: Path) -> Path:
    """Fill the disk except for `room` bytes."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(file.tell() - room)
    return filler


async def accept_until_an_error(repository: NotificationRepository) -> None:
    while True:
        await repository.accept(new_notification(message="x" * 5_000))


async def deliver_all(repository: NotificationRepository) -> int:
    delivered = 0
    while claims := (await repository.claim(request(slots=1))).claims:
        assert await repository.record_sent(claims[0], TOOK)
        delivered += 1
    return delivered


async def test_deliveries_continue_with_little_space(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        for _ in range(MANY):
            await repository.accept(new_notification())
    fill_up_to(FREE_BYTES, small_disk)
    async with Database.open(f"sqlite:///{path}") as database:
        assert await deliver_all(NotificationRepository(database)) == MANY
    assert integrity(path) == "ok"


async def test_alerts_are_refused_while_there_is_space_for_outcomes(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        with pytest.raises(DiskFullError, match="the disk is full, except for the space that deliveries"):
            await accept_until_an_error(repository)
        accepted = await repository.count(NotificationFilter())
        assert accepted > 20
        assert await deliver_all(repository) == accepted


async def test_a_full_wal_is_truncated_and_the_write_repeated(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        for _ in range(MANY):
            await NotificationRepository(database).accept(new_notification())
    # With free pages in the file, only the WAL needs space.
    run(path, "CREATE TABLE free_pages AS SELECT zeroblob(200000) AS room")
    run(path, "DROP TABLE free_pages")
    # As if another program had filled the disk between two commits.
    monkeypatch.setattr("storage.engine.sqlite.database_file.LOW_SPACE", 0)
    fill_up_to(FREE_BYTES, small_disk)
    async with Database.open(f"sqlite:///{path}") as database:
        assert await deliver_all(NotificationRepository(database)) == MANY
    assert integrity(path) == "ok"
