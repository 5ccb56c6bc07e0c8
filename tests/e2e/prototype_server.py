"""The smallest server that shows how a process ends: a lifespan that reports its steps, and a few tools.

Run as `python -m tests.e2e.prototype_server [WAYS ...]`; each way changes one thing.
"""

import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from mcp.server.mcpserver import MCPServer

from certctl_mcp.mcp_server.stdio import serve_stdio

WAYS = frozenset(sys.argv[1:])


def tell(event: str) -> None:
    print(event, file=sys.stderr, flush=True)


@asynccontextmanager
async def lifespan(_: MCPServer) -> AsyncIterator[None]:
    if "no-database" in WAYS:
        raise RuntimeError("the database can't be opened")
    tell("open")
    yield
    tell("draining")
    if "drains-for-ever" in WAYS:
        try:
            await anyio.sleep_forever()
        finally:
            tell("cut off")
    await anyio.sleep(0.05)
    tell("closed")


server = MCPServer("prototype", lifespan=lifespan)


@server.tool()
async def echo(text: str) -> str:
    return text


@server.tool()
async def slow(seconds: float) -> str:
    tell("slow begins")
    await anyio.sleep(seconds)
    return "done"


@server.tool()
async def large(size: int) -> str:
    tell("large answers")
    return "x" * size


@server.tool()
async def chatty() -> str:
    """Does what could corrupt the protocol: prints, and starts a child that prints and reads."""
    print("stray print", flush=True)
    os.write(1, b"stray write\n")
    child = ["sh", "-c", "echo stray child; wc -c"]
    return str(subprocess.run(child, check=True).returncode)  # noqa: ASYNC221 (short, and the point)


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    if "no-pidfd" in WAYS:
        del os.pidfd_open
    end_within = timedelta(seconds=0.2 if "ends-soon" in WAYS else 30)
    anyio.run(lambda: serve_stdio(server, end_within=end_within))
    tell("returned")


if __name__ == "__main__":
    main()
