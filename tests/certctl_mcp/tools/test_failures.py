"""A refused call tells how to do better, and nothing of the machine."""

import sqlite3
from pathlib import Path

import pytest

from certctl_mcp.tools.failures import explained
from storage.errors import (
    DatabaseBusyError,
    DatabaseReadOnlyError,
    DatabaseTooNewError,
    DiskFullError,
    NotADatabaseError,
    StorageError,
)
from tests.certctl_mcp.tools.conftest import Assistant


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        (
            "list_notifications",
            {"status": "ded"},
            "status: 'ded' is not allowed; did you mean 'dead'? Allowed: pending, sent, failed, dead, read.",
        ),
        (
            "list_notifications",
            {"limit": 1000},
            "limit: input should be less than or equal to 100, not 1000.",
        ),
        ("get_notification", {}, "id is required."),
        (
            "get_notification",
            {"notification_id": "x"},
            "There is no argument of get_notification 'notification_id'. There are: id.",
        ),
        ("list_channels", {"name": "x"}, "There is no argument of list_channels 'name'. There are: none."),
    ],
)
async def test_arguments_are_corrected(
    assistant: Assistant, tool: str, arguments: dict[str, object], told: str
) -> None:
    assert await assistant.refused(tool, **arguments) == told


async def test_a_mistyped_tool_is_named(assistant: Assistant) -> None:
    why = await assistant.refused("list_notification")
    assert why.startswith("There is no tool 'list_notification'; did you mean 'list_notifications'?")


async def test_a_cursor_of_elsewhere_is_refused(assistant: Assistant) -> None:
    assert "pass next_cursor as it was given" in await assistant.refused(
        "list_notifications", cursor="elsewhere"
    )


@pytest.mark.parametrize(
    "error",
    [
        DatabaseBusyError,
        DatabaseReadOnlyError,
        DatabaseTooNewError,
        DiskFullError,
        NotADatabaseError,
        StorageError,
    ],
)
def test_no_failure_of_the_database_tells_where_it_is(error: type[StorageError]) -> None:
    told = explained(error("the database /home/operator/secret/notifications.db is locked"))
    assert told is not None
    assert "/" not in told


def test_a_defect_is_not_explained_away() -> None:
    assert explained(KeyError("channel")) is None


async def test_a_damaged_table_is_told_as_an_error(assistant: Assistant, database_path: Path) -> None:
    connection = sqlite3.connect(database_path)
    connection.execute("ALTER TABLE notification_events RENAME TO elsewhere")
    connection.close()
    why = await assistant.refused("list_notifications")
    assert str(database_path.parent) not in why
    assert "Traceback" not in why
