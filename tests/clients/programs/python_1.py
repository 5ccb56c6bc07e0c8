"""The Python SDK's first generation: calls the tools named on stdin, one a line."""

import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitRequestParams, ElicitResult

told = json.loads(sys.argv[1])
asked: list[str] = []


async def say(context: object, params: ElicitRequestParams) -> ElicitResult:
    asked.append(params.message)
    return ElicitResult(**told["answers"].pop(0))


async def main() -> None:
    callback = say if told["answers"] else None
    async with (
        stdio_client(StdioServerParameters(**told["server"])) as (read, write),
        ClientSession(read, write, elicitation_callback=callback) as session,
    ):
        await session.initialize()
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await session.call_tool(call["name"], call["arguments"])
            answer = {"asked": asked, "result": result.model_dump(mode="json", by_alias=True)}
            print(json.dumps(answer), flush=True)


anyio.run(main)
