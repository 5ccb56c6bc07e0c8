"""The Python SDK's second generation: calls the tools named on stdin, one a line."""

import json
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import ElicitRequestParams, ElicitResult

told = json.loads(sys.argv[1])
asked: list[str] = []


async def say(context: object, params: ElicitRequestParams) -> ElicitResult:
    asked.append(params.message)
    return ElicitResult(**told["answers"].pop(0))


async def main() -> None:
    server = StdioServerParameters(**told["server"])
    callback = say if told["answers"] else None
    async with Client(server, mode=told["mode"], elicitation_callback=callback) as client:
        async for line in anyio.wrap_file(sys.stdin):
            call = json.loads(line)
            result = await client.call_tool(call["name"], call["arguments"])
            answer = {"asked": asked, "result": result.model_dump(mode="json", by_alias=True)}
            print(json.dumps(answer), flush=True)


anyio.run(main)
