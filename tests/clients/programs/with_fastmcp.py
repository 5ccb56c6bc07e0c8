"""The client of FastMCP: calls the tools that it reads of on stdin, a line each."""

import json
import sys

import anyio
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp.types import ElicitResult

asked = json.loads(sys.argv[1])


async def answer(*_: object) -> ElicitResult:
    return ElicitResult(**asked["answer"])


async def main() -> None:
    handler = answer if asked["answer"] else None
    transport = StdioTransport(**asked["server"])
    async with Client(transport, mode=asked["mode"], elicitation_handler=handler) as client:
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await client.call_tool_mcp(call["name"], call["arguments"])
            print(result.model_dump_json(by_alias=True), flush=True)


anyio.run(main)
