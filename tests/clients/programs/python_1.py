"""The Python SDK's first generation: calls the tools that it reads of on stdin, a line each."""

import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitRequestParams, ElicitResult

asked = json.loads(sys.argv[1])


async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(**asked["answer"])


async def main() -> None:
    callback = answer if asked["answer"] else None
    async with (
        stdio_client(StdioServerParameters(**asked["server"])) as (read, write),
        ClientSession(read, write, elicitation_callback=callback) as session,
    ):
        await session.initialize()
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await session.call_tool(call["name"], call["arguments"])
            print(result.model_dump_json(by_alias=True), flush=True)


anyio.run(main)
