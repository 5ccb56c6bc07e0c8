"""The setup that each page presumes: settings, files, servers and alerts."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from certctl_mcp.cli.hosts.locations import Host
from storage.clock import utc_now
from tests import certctl_schema, postgresql
from tests.builders import Queue
from tests.certctl_mcp.notifiers.relay import Relay
from tests.docs.reader import Reader
from tests.e2e.http_receiver import Receiver
from tests.e2e.http_server import HttpProcess
from tests.e2e.queue_file import fill

HOOK = "https://alerts.example.com/hook"
ON_POSTGRESQL = "postgresql://certctl@db/certctl"
ON_POSTGRESQL_WITH_TLS = "postgres://certctl:secret@db:5432/certctl?sslmode=verify-full"
KEY = "a-long-random-key"


class Services:
    """Services that a page's setup can start on demand."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    @property
    def hook(self) -> str:
        """The URL where webhooks and Slack messages are received."""
        receiver: Receiver = self._request.getfixturevalue("receiver")
        return f"http://127.0.0.1:{receiver.server_port}/hook"

    @property
    def relay(self) -> Relay:
        """A mail relay."""
        relay: Relay = self._request.getfixturevalue("relay")
        return relay

    @property
    def server(self) -> str:
        """The address of a server over HTTP."""
        served: HttpProcess = self._request.getfixturevalue("server")
        return served.url.removeprefix("http://").rstrip("/")

    def postgresql(self, fixture: str) -> str:
        """The URL of a database."""
        url: str = self._request.getfixturevalue(fixture)
        return url


async def with_dead_letters(queue: Queue) -> None:
    """Two dead letters and a pending alert."""
    for channel in ("Slack", "PagerDuty"):
        await queue.dead("HTTP 503", channel=channel)
    await queue.pending(channel="Slack")


def _readme(reader: Reader, services: Services) -> None:
    reader.names[HOOK] = services.hook


def _as_a_service(reader: Reader, services: Services) -> None:
    """A service with a settings file, a queue and dead letters."""
    settings = Path(reader.names["/etc/certctl-mcp"], "settings.toml")
    queue = Path(reader.names["/var/lib/certctl-mcp"], "notifications.db")
    settings.write_text(
        f"""
        database_url = "sqlite:///{queue}"
        [http]
        api_keys_named = "ops:{KEY}"
        [channels.Slack]
        webhook_url = "{services.hook}"
        [channels.PagerDuty]
        routing_key = "0123456789abcdef0123456789abcdef"
        api_url = "{services.hook}"
        """
    )
    settings.chmod(0o600)
    fill(f"sqlite:///{queue}", with_dead_letters)
    (reader.directory / "slack-webhook-url").write_text(services.hook)
    reader.names |= {"KEY": KEY, "9464": str(postgresql.free_port())}
    reader.answers["certctl-mcp requeue --channel PagerDuty"] = "y\n"


def _backup(reader: Reader, services: Services) -> None:
    _as_a_service(reader, services)
    reader.variables["CERTCTL_CONFIG"] = f"{reader.names['/etc/certctl-mcp']}/settings.toml"
    reader.names |= {
        ON_POSTGRESQL: services.postgresql("postgresql_url"),
        # When the backup was made, or later.
        "2026-01-31T08:00": f"{utc_now() + timedelta(minutes=5):%Y-%m-%dT%H:%M}",
    }


def _on_certctls_database(reader: Reader, services: Services) -> None:
    url = services.postgresql("empty_database")
    asyncio.run(postgresql.execute(url, *certctl_schema.NEWEST, *certctl_schema.ROWS))
    reader.names[ON_POSTGRESQL_WITH_TLS] = url
    reader.variables["CERTCTL_WEBHOOK_URL"] = services.hook


def _mail(reader: Reader, services: Services) -> None:
    host, port = services.relay.address
    reader.variables |= {
        "CERTCTL_SMTP_HOST": host,
        "CERTCTL_SMTP_PORT": str(port),
        "CERTCTL_SMTP_FROM_ADDRESS": "certificates@example.com",
        "CERTCTL_SMTP_USE_TLS": "false",
    }


def _hosts(reader: Reader, services: Services) -> None:
    reader.names["HOST"] = Host.CODEX
    Path(reader.names["/etc/certctl-mcp"], "settings.toml").touch(0o600)


def _http(reader: Reader, services: Services) -> None:
    directory = Path(reader.names["/etc/certctl-mcp"])
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(directory / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    reader.names |= {
        "localhost:8080": services.server,
        "http://collector:4318": services.hook,
        # Other hosts can't reach a test.
        "0.0.0.0": "127.0.0.1",
    }


def _install(reader: Reader, services: Services) -> None:
    reader.names |= {HOOK: services.hook, "HOST": Host.CURSOR}


def _postgresql(reader: Reader, services: Services) -> None:
    fill(f"sqlite:///{reader.names['/var/lib/certctl-mcp']}/notifications.db", with_dead_letters)
    reader.names[ON_POSTGRESQL_WITH_TLS] = reader.names[ON_POSTGRESQL] = services.postgresql("empty_database")


def _setup(reader: Reader, services: Services) -> None:
    _mail(reader, services)
    reader.variables |= {
        "CERTCTL_SLACK_WEBHOOK_URL": services.hook,
        "CERTCTL_PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
        "CERTCTL_PAGERDUTY_API_URL": services.hook,
        "CERTCTL_DATABASE_URL": f"sqlite:///{reader.place}/notifications.db",
    }
    # For root, the file would be in /etc.
    reader.instead["certctl-mcp init"] = "certctl-mcp init ~/.config/certctl-mcp/settings.toml"
    reader.answers["certctl-mcp init"] = "Slack\n"


def _tools(reader: Reader, services: Services) -> None:
    queue = f"sqlite:///{reader.place}/notifications.db"
    fill(queue, with_dead_letters)
    reader.variables["CERTCTL_DATABASE_URL"] = queue


PAGE_SETUPS: Mapping[str, Callable[[Reader, Services], None]] = {
    "README.md": _readme,
    "docs/backup.md": _backup,
    "docs/certctl.md": _on_certctls_database,
    "docs/channels.md": _mail,
    "docs/hosts.md": _hosts,
    "docs/http.md": _http,
    "docs/install.md": _install,
    "docs/operating.md": _as_a_service,
    "docs/postgresql.md": _postgresql,
    "docs/setup.md": _setup,
    "docs/tools.md": _tools,
}
