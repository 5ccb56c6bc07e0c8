"""The Python SDK's second generation: calls the tools that it reads of on stdin, a line each."""

import json
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import ElicitRequestParams, ElicitResult

asked = json.loads(sys.argv[1])


async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(**asked["answer"])


async def main() -> None:
    server = StdioServerParameters(**asked["server"])
    callback = answer if asked["answer"] else None
    async with Client(server, mode=asked["mode"], elicitation_callback=callback) as client:
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await client.call_tool(call["name"], call["arguments"])
            print(result.model_dump_json(by_alias=True), flush=True)


anyio.run(main)
