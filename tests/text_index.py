"""The optional index for text searches on PostgreSQL, created as the documentation says."""

from tests.docs.pages import blocks
from tests.postgresql import execute

TEXT_INDEX = "notification_events_text"


async def create_text_index(url: str) -> None:
    (block,) = blocks("docs/postgresql.md", "sql")
    # One by one: an index can't be created concurrently in a transaction.
    await execute(url, *filter(str.strip, block.text.split(";")))


async def drop_text_index(url: str) -> None:
    await execute(url, f"DROP INDEX {TEXT_INDEX}")
