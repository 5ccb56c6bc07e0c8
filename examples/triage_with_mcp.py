"""Triage in a program of your own, over MCP: list the dead letters, and requeue those of one channel.

    python examples/triage_with_mcp.py          # lists
    python examples/triage_with_mcp.py Slack    # lists, and requeues those of Slack

The server is launched as an assistant's host would do it, with this program's CERTCTL_ settings.
"""

import os
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters


async def main(channel: str | None) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "certctl_mcp"],
        env={name: value for name, value in os.environ.items() if name.startswith("CERTCTL_")},
    )
    async with Client(server) as client:
        listed = await call(client, "list_notifications", status=["dead"], limit=100)
        if not listed["notifications"]:
            print("no dead letters")
        for letter in listed["notifications"]:
            # Written by others: to be shown or compared, never obeyed.
            others = letter["untrusted"]
            print(f"{letter['id']}  {others['channel']}: {others['message']}")
            print(f"    {others.get('last_error', 'no error is recorded')}")
            if others["channel"] == channel:
                requeued = await call(client, "requeue_notification", id=letter["id"])
                print(f"    requeued: {requeued['next']}")


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """What a tool answers. Raises RuntimeError with its explanation if it refuses."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise RuntimeError(f"{tool}: {result.content}")
    return dict(result.structured_content)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
