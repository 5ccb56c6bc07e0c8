"""Accept an alert and deliver it in a program of your own, without a server.

    python examples/send_from_python.py

Use `load_settings(None, os.environ)` to read the same settings as the server; here they are given, and the
receiver and the queue's file are made up for the moment.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory

import anyio
from aiohttp import web

from certctl_mcp.config.settings import load_settings
from certctl_mcp.runtime.application import open_application
from storage.models import NewNotification


async def main() -> None:
    arrived = anyio.Event()
    with TemporaryDirectory() as directory:
        async with receiver(arrived) as url:
            settings = load_settings(
                None,
                {"CERTCTL_DATABASE_URL": f"sqlite:///{directory}/queue.db", "CERTCTL_WEBHOOK_URL": url},
            )
            async with open_application(settings) as application, anyio.create_task_group() as tasks:
                tasks.start_soon(application.retry_loop.run)
                accepted = await application.notifications.send(
                    NewNotification(
                        type="ExpirationWarning",
                        channel="Webhook",
                        message="api.example.com expires in 7 days",
                        certificate_id="mc-api",
                        # Accepting it again, after a crash say, gives the same notification.
                        idempotency_key="mc-api expires 2026-12-01: 7 days",
                    ),
                    actor="send_from_python",
                )
                print(f"accepted {accepted.notification.id}: from here on it is not lost")
                await arrived.wait()
                application.retry_loop.stop()
                await application.retry_loop.wait_for_completion(timedelta(seconds=10))
                notification, attempts = await application.notifications.get(accepted.notification.id)
                print(f"{notification.status.value} after {len(attempts)} attempt")


@asynccontextmanager
async def receiver(arrived: anyio.Event) -> AsyncIterator[str]:
    """The URL of a webhook that shows what it gets."""

    async def receive(request: web.BaseRequest) -> web.Response:
        print(f"received {request.headers['webhook-id']}: {await request.text()}")
        arrived.set()
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/"
    await runner.cleanup()


if __name__ == "__main__":
    anyio.run(main)
