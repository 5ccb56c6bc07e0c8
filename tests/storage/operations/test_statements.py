"""The two long statements for PostgreSQL, as the database gets them, in files beside this test.

Run it with UPDATE_SNAPSHOTS=1 after a wanted change, and read the difference.
"""

import os
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql

from storage.operations import claim_postgresql, outcomes

HERE = Path(__file__).parent
STATEMENTS = {
    "claim_postgresql.sql": claim_postgresql.CLAIM[False, False],
    "outcomes_postgresql.sql": outcomes.FINISH_AND_RECORD[False],
}


def readable(statement: ClauseElement) -> str:
    """The statement's text with one clause a line; names of columns stay on the line of their clause."""
    compiled = statement.compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]
    lines = (line.rstrip() for line in str(compiled).splitlines())
    return "\n".join(line for line in lines if line) + "\n"


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_statement_is_the_one_in_the_file(name: str) -> None:
    path, text = HERE / name, readable(STATEMENTS[name])
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert path.read_text() == text
