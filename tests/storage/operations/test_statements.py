"""Snapshots of the two long PostgreSQL statements, in files next to this test.

After an intended change, run with UPDATE_SNAPSHOTS=1 and review the diff.
"""

import os
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql

from storage.operations import claim_postgresql, outcomes

HERE = Path(__file__).parent
STATEMENTS = {
    "claim_postgresql.sql": claim_postgresql.claiming(rescue=False, suspects=False),
    "outcomes_postgresql.sql": outcomes.finishing_at_once(rescue=False),
}


def readable(statement: ClauseElement) -> str:
    """The statement's text with each clause on a line of its own."""
    compiled = statement.compile(dialect=postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]
    lines = (line.rstrip() for line in str(compiled).splitlines())
    return "\n".join(line for line in lines if line) + "\n"


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_matches_its_snapshot(name: str) -> None:
    path, text = HERE / name, readable(STATEMENTS[name])
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert path.read_text() == text
