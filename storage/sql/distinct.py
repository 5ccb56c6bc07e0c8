"""The distinct values of a column, found by one index seek for each value (a loose index scan)."""

from sqlalchemy import Column, ColumnElement, ScalarSelect, Select, literal_column, select


def distinct(column: "Column[str]", *conditions: ColumnElement[bool]) -> Select[str]:
    """The values of the rows that meet the conditions, in order. An index must start with the column."""

    def least(*further: ColumnElement[bool]) -> ScalarSelect[str]:
        # Not min(), for which PostgreSQL scans all rows if it expects few.
        found = select(column).where(*conditions, *further).order_by(column)
        return found.limit(literal_column("1")).scalar_subquery()

    walk = select(least(column >= literal_column("''")).label("name")).cte(recursive=True)
    walk = walk.union_all(select(least(column > walk.c.name)).where(walk.c.name.is_not(None)))
    return select(walk.c.name).where(walk.c.name.is_not(None))
