"""A new SQLite file gets the same schema from one script as from all revisions one by one.

After a new revision, run with UPDATE_SNAPSHOTS=1 and review the diff.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, create_engine

from storage.schema.migrations import bring_up_to_date, run_revisions
from storage.schema.migrations.new_file import SCRIPT


def script_of(path: Path) -> str:
    """All statements that create the file's tables, indexes and triggers, and fill its tables."""
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(statement for statement in connection.iterdump() if statement.endswith(";")) + "\n"


def file_made_by(make: Callable[[Connection], None], path: Path) -> Path:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        make(connection)
        connection.commit()
    engine.dispose()
    return path


def test_a_new_file_has_the_schema_that_the_revisions_make(tmp_path: Path) -> None:
    by_revisions = script_of(file_made_by(run_revisions, tmp_path / "by_revisions.db"))
    script = by_revisions.removeprefix("BEGIN TRANSACTION;\n").removesuffix("COMMIT;\n")
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SCRIPT.write_text(script, encoding="utf-8")
    assert SCRIPT.read_text(encoding="utf-8") == script
    assert script_of(file_made_by(bring_up_to_date, tmp_path / "at_once.db")) == by_revisions
