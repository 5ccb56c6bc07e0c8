"""An assistant can check the setup as the command line does, without sending or changing anything."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from mcp import Client

from tests.certctl_mcp.conftest import MODERN
from tests.in_process_server import answer

Connect = Callable[..., AbstractAsyncContextManager[Client]]


async def test_each_check_has_its_finding_and_how_to_fix_it(connect: Connect) -> None:
    async with connect(MODERN) as client:
        setup = await answer(client, "check_setup")
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in setup["checks"]}
    assert rows["settings"]["verdict"] == "ok"
    assert rows["database"]["verdict"] in ("ok", "warn")
    assert rows["deliveries"]["found"] == "no running process delivers"
    webhook = rows["channel Webhook"]
    assert webhook["verdict"] == "fail"
    assert webhook["untrusted"]["found"] == "the connection to 127.0.0.1:9 failed: Connection refused"
    assert webhook["help"]
    assert setup["failed"] == sum(row["verdict"] == "fail" for row in setup["checks"]) == 2
