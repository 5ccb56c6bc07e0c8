"""Which values has a column? Found by seeking from one to the next, however many rows have each."""

from sqlalchemy import Column, ColumnElement, ScalarSelect, Select, literal_column, select


def distinct(column: "Column[str]", *conditions: ColumnElement[bool]) -> Select[str]:
    """The values, in order, of the rows that meet the conditions; an index begins with the column."""

    def least(*further: ColumnElement[bool]) -> ScalarSelect[str]:
        # Not min(), for which PostgreSQL goes through all rows where it thinks that there are few.
        found = select(column).where(*conditions, *further).order_by(column)
        return found.limit(literal_column("1")).scalar_subquery()

    walk = select(least(column >= literal_column("''")).label("name")).cte(recursive=True)
    walk = walk.union_all(select(least(column > walk.c.name)).where(walk.c.name.is_not(None)))
    return select(walk.c.name).where(walk.c.name.is_not(None))
