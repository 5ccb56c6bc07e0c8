"""The client of FastMCP: calls the tools named on stdin, one a line."""

import json
import sys

import anyio
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp.types import ElicitResult

told = json.loads(sys.argv[1])
asked: list[str] = []


async def say(message: str, *_: object) -> ElicitResult:
    asked.append(message)
    return ElicitResult(**told["answers"].pop(0))


async def main() -> None:
    handler = say if told["answers"] else None
    transport = StdioTransport(**told["server"])
    async with Client(transport, mode=told["mode"], elicitation_handler=handler) as client:
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await client.call_tool_mcp(call["name"], call["arguments"])
            answer = {"asked": asked, "result": result.model_dump(mode="json", by_alias=True)}
            print(json.dumps(answer), flush=True)


anyio.run(main)
