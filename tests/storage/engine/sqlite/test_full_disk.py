"""A disk with little room left: nothing more is accepted, and what was accepted is delivered all the same."""

from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import DiskFullError
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import TOOK, new_notification, request
from tests.storage.foreign import integrity, run

MANY = 150
ROOM = 200_000
"""Bytes; far less than the log would take by itself before SQLite empties it."""


def leave(room: int, place: Path) -> Path:
    """Fill the disk up to the last `room` bytes."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(file.tell() - room)
    return filler


async def accept_without_end(repository: NotificationRepository) -> None:
    while True:
        await repository.accept(new_notification(message="x" * 5_000))


async def deliver_one_by_one(repository: NotificationRepository) -> int:
    delivered = 0
    while claims := (await repository.claim(request(slots=1))).claims:
        assert await repository.record_sent(claims[0], TOOK)
        delivered += 1
    return delivered


async def test_deliveries_go_on_in_little_room(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        for _ in range(MANY):
            await repository.accept(new_notification())
    leave(ROOM, small_disk)
    async with Database.open(f"sqlite:///{path}") as database:
        assert await deliver_one_by_one(NotificationRepository(database)) == MANY
    assert integrity(path) == "ok"


async def test_accepting_stops_while_there_is_room_for_the_outcomes(small_disk: Path) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        repository = NotificationRepository(database)
        with pytest.raises(DiskFullError, match="the disk is full, except for the room that deliveries need"):
            await accept_without_end(repository)
        accepted = await repository.count(NotificationFilter())
        assert accepted > 20
        assert await deliver_one_by_one(repository) == accepted


async def test_what_does_not_fit_into_the_log_is_written_once_it_was_emptied(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_disk / "notifications.db"
    async with Database.open(f"sqlite:///{path}") as database:
        for _ in range(MANY):
            await NotificationRepository(database).accept(new_notification())
    # So that only the log needs room.
    run(path, "CREATE TABLE free_pages AS SELECT zeroblob(200000) AS room")
    run(path, "DROP TABLE free_pages")
    # As if another program had filled the disk between two commits.
    monkeypatch.setattr("storage.engine.sqlite.database_file.LOW_ROOM", 0)
    leave(ROOM, small_disk)
    async with Database.open(f"sqlite:///{path}") as database:
        assert await deliver_one_by_one(NotificationRepository(database)) == MANY
    assert integrity(path) == "ok"
