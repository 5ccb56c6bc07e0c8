"""A comparison of all rows of one database with the same rows of another."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Table

from storage.maintenance.row_batches import Row
from storage.sql.types import sortable


class Comparison:
    """Counts and checksums rows of the source, and collects those that differ in the target."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.differing: list[str] = []
        self._sum = 0

    def compare(self, table: Table, source: Sequence[Row], target: Sequence[Row]) -> None:
        """Add rows of the source, and the rows of the target with the same keys."""
        theirs = {key(table, row): contents(row) for row in target}
        for row in source:
            row_key, row_contents = key(table, row), contents(row)
            # A sum, because the databases may order the rows differently.
            self._sum += int.from_bytes(hashlib.sha256(row_contents).digest())
            if theirs.get(row_key) != row_contents:
                self.differing.append(f"{table.name} {row_key}")
        self.counts[table.name] = self.counts.get(table.name, 0) + len(source)

    @property
    def checksum(self) -> str:
        return f"{self._sum % (1 << 256):064x}"


def key(table: Table, row: Row) -> str:
    return " ".join(str(row[column.name]) for column in table.primary_key.columns)


def contents(row: Row) -> bytes:
    """A hash that is the same for equal rows of both kinds of database."""
    values = {name: sortable(v) if isinstance(v, datetime) else v for name, v in row.items()}
    return json.dumps(values, sort_keys=True).encode()
