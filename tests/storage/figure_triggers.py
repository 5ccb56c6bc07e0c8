"""Removal of the triggers that drop figures, as by another program."""

from storage.schema.kept_figures import TRIGGERS
from tests.storage.raw_sql import run


def drop_triggers(url: str) -> None:
    """Drop all of them."""
    for name in _tables(url):
        drop_trigger(url, name)


def drop_trigger(url: str, name: str) -> None:
    on_table = "" if url.startswith("sqlite") else f" ON {_tables(url)[name]}"
    run(url, f"DROP TRIGGER {name}{on_table}")


def _tables(url: str) -> dict[str, str]:
    triggers = TRIGGERS["sqlite" if url.startswith("sqlite") else "postgresql"]
    return {trigger.name: trigger.table for trigger in triggers}
