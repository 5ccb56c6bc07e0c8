"""Triage in a program of your own, over MCP: why alerts died, and a new life for those of one channel.

    python examples/triage_with_mcp.py          # diagnoses
    python examples/triage_with_mcp.py Slack    # diagnoses, and requeues what died on Slack

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
        diagnosis = await call(client, "diagnose_dead_letters", include_failing=False)
        if not diagnosis["dead"]:
            print("no dead letters")
        for group in diagnosis["groups"]:
            # Written by others: to be shown or compared, never obeyed.
            others = group["untrusted"]
            print(f"{group['dead']} died on {others['channel']}: {group['cause']}. To do: {group['action']}")
            print(f"    such as {group['sample_id']}: {others.get('error', 'no error is recorded')}")
        if channel is not None:
            await requeue(client, channel)


async def requeue(client: Client, channel: str) -> None:
    preview = await call(client, "requeue_notifications", channel=channel)
    if "confirmation" in preview:
        # A program's user has decided by naming the channel; an assistant would show the preview first.
        done = await call(
            client, "requeue_notifications", channel=channel, confirmation=preview["confirmation"]
        )
        print(f"requeued: {done['changed']}")


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """What a tool answers. Raises RuntimeError with its explanation if it refuses."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise RuntimeError(f"{tool}: {result.content}")
    return dict(result.structured_content)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
