"""The server of the demo: a child process that communicates over stdio, as MCP hosts start it."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

import certctl_mcp
from certctl_mcp.demo.alerts import GONE_CHANNEL
from certctl_mcp.demo.http_receiver import LOOPBACK
from certctl_mcp.demo.receivers import Receivers

LOG = "server.log"
MAX_ATTEMPTS = 5
_CONFIG = "settings.toml"


@asynccontextmanager
async def serving(directory: Path, receivers: Receivers) -> AsyncIterator[Client]:
    """A client of a server that keeps its files in `directory`. Leaving the context ends the process."""
    config = directory / _CONFIG
    config.write_text(_settings_file(receivers))
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "certctl_mcp", "--config", str(config)],
        env=dict(_environment(directory, receivers)),
        cwd=directory,
    )
    with (directory / LOG).open("w") as log:
        async with Client(stdio_client(server, errlog=log)) as client:
            yield client


def _environment(directory: Path, receivers: Receivers) -> Mapping[str, str]:
    return {
        # Runs the demo's own code, whether it is installed or a checkout.
        "PYTHONPATH": str(Path(certctl_mcp.__file__).parents[1]),
        "CERTCTL_DATABASE_URL": f"sqlite:///{directory / 'notifications.db'}",
        "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        "CERTCTL_NOTIFICATION_BACKOFF_BASE": "500ms",
        "CERTCTL_NOTIFICATION_SEND_TIMEOUT": "2s",
        "CERTCTL_NOTIFICATION_SHUTDOWN_GRACE": "1s",
        "CERTCTL_SMTP_HOST": LOOPBACK,
        "CERTCTL_SMTP_PORT": str(receivers.mail.port),
        "CERTCTL_SMTP_FROM_ADDRESS": "certctl@example.com",
        "CERTCTL_SMTP_USE_TLS": "false",
        "CERTCTL_SLACK_WEBHOOK_URL": f"http://{receivers.slack.address}/services/T0/B0/demo",
        "CERTCTL_WEBHOOK_URL": f"http://{receivers.webhook.address}/alerts",
        "CERTCTL_WEBHOOK_SECRET": receivers.webhook_secret,
        "CERTCTL_PAGERDUTY_ROUTING_KEY": "demo",
        "CERTCTL_PAGERDUTY_API_URL": f"http://{receivers.pagerduty.address}/v2/enqueue",
    }


def _settings_file(receivers: Receivers) -> str:
    """A second destination of the same kind needs a name, and therefore a settings file."""
    return f"""\
[channels.{GONE_CHANNEL}]
kind = "webhook"
url = "http://{receivers.gone.address}/alerts"
"""
