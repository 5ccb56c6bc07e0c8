"""Send an alert and deliver it in a program of your own, without a server.

    python examples/send_from_python.py

Without an argument, `Queue.open()` reads the same settings as the server. Here the database, the channel and
the receiver are temporary.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from aiohttp import web

from certctl_mcp import NewNotification, Queue


async def main() -> None:
    with TemporaryDirectory() as directory:
        async with receiver() as url:
            os.environ["CERTCTL_WEBHOOK_URL"] = url
            async with Queue.open(Path(directory) / "queue.db") as queue:
                accepted = await queue.send(
                    NewNotification(
                        type="ExpirationWarning",
                        channel="Webhook",
                        message="api.example.com expires in 7 days",
                        certificate_id="mc-api",
                        # Sending it again, after a crash say, returns the same notification.
                        idempotency_key="mc-api expires 2026-12-01: 7 days",
                    )
                )
                print(f"accepted {accepted.notification.id}: it survives a crash now")
                await queue.drain()
                notification = await queue.get(accepted.notification.id)
                attempts = await queue.attempts(notification.id)
                print(f"{notification.status.value} after {len(attempts)} attempt")


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    """The URL of a webhook that prints what it receives."""

    async def receive(request: web.BaseRequest) -> web.Response:
        print(f"received {request.headers['webhook-id']}: {await request.text()}")
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/"
    await runner.cleanup()


if __name__ == "__main__":
    anyio.run(main)
