"""The tokens that the tools cost before anything is asked."""

from mcp import Client

from certctl_mcp.config.settings import Settings
from storage.database import Database
from tests.builders import SettableClock
from tests.in_process_server import FakeNotifier, server
from tests.tokens import tokens


async def test_the_list_of_tools_stays_small(
    database: Database, clock: SettableClock, settings: Settings
) -> None:
    async with Client(server(database, clock, settings, {"Webhook": FakeNotifier()})) as client:
        listed = await client.list_tools()
    assert len(listed.tools) <= 20
    assert tokens(listed.model_dump_json(by_alias=True, exclude_none=True)) <= 5_000
