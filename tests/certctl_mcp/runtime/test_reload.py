"""Settings are read again when a secret file changes; invalid or fixed settings stay as they were."""

import dataclasses
import logging
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from certctl_mcp.config.destinations import SlackDestination
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.notifiers.base import Notifier
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.current_application import CurrentApplication
from certctl_mcp.runtime.lifespan import opening
from certctl_mcp.runtime.reload import SettingsReload, with_fixed_settings
from tests.builders import new_notification
from tests.certctl_mcp.fake_notifiers import HangingNotifier

PATIENCE = 20
SOON = timedelta(milliseconds=10)
WEBHOOK = {"CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
SLACK = {"CERTCTL_SLACK_WEBHOOK_URL": "http://127.0.0.1:9/slack"}


class Applied:
    """Records the settings that were applied."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.more = anyio.Event()

    async def __call__(self, settings: Settings) -> None:
        self.settings.append(settings)
        self.more.set()
        self.more = anyio.Event()


@asynccontextmanager
async def reloading(secret: Path) -> AsyncIterator[Applied]:
    load = partial(load_settings, None, {"CERTCTL_SLACK_WEBHOOK_URL_FILE": str(secret)})
    applied = Applied()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(SettingsReload(load(), load, interval=SOON).run, applied)
        with anyio.fail_after(PATIENCE):
            yield applied
        tasks.cancel_scope.cancel()


def replace(secret: Path, text: str) -> None:
    """Replace the file, so that it is never read half-written."""
    new = secret.with_name("new")
    new.write_text(text)
    os.replace(new, secret)


def webhook_url(settings: Settings) -> str:
    (channel,) = settings.channels
    assert isinstance(channel.destination, SlackDestination)
    return channel.destination.webhook_url.get_secret_value()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "slack"
    path.write_text("https://example.com/first")
    return path


async def test_a_secret_is_read_again_when_its_file_changes(
    secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with reloading(secret) as applied:
        more = applied.more
        replace(secret, "https://example.com/second")
        await more.wait()
    (settings,) = applied.settings
    assert webhook_url(settings) == "https://example.com/second"
    assert f"reloaded because {secret} changed; changed: channel Slack changed" in caplog.text
    assert "example.com" not in caplog.text


async def test_an_unusable_secret_is_reported_once_and_the_next_one_is_applied(
    secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reported = anyio.Event()

    class Reported(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reported.set()

    handler = Reported(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        async with reloading(secret) as applied:
            replace(secret, "no URL")
            await reported.wait()
            await anyio.sleep(5 * SOON.total_seconds())
            assert not applied.settings
            more = applied.more
            replace(secret, "https://example.com/third")
            await more.wait()
    finally:
        logging.getLogger().removeHandler(handler)
    assert [webhook_url(settings) for settings in applied.settings] == ["https://example.com/third"]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "CERTCTL_SLACK_WEBHOOK_URL_FILE (value not shown)" in errors[0].getMessage()


def test_settings_that_require_a_restart_stay_unchanged_and_are_reported() -> None:
    current = load_settings(None, {"CERTCTL_DATABASE_URL": "sqlite:////srv/a.db"})
    read = load_settings(
        None,
        {
            "CERTCTL_DATABASE_URL": "sqlite:////srv/b.db",
            "CERTCTL_SERVER_PORT": "9999",
            "CERTCTL_MCP_READ_ONLY": "true",
            "CERTCTL_AUTH_SECRET": "a-new-secret-key-of-ada",
            "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": "3",
        },
    )
    settings, kept = with_fixed_settings(current, read)
    assert kept == ["database_url", "read_only", "http.port"]
    assert settings.database_url == current.database_url
    assert (settings.http.port, settings.read_only, settings.max_attempts) == (8080, False, 3)
    assert settings.http.keys


async def registered(application: Application, channels: Collection[str]) -> None:
    """Wait until the live processes have these channels and no others."""
    while {name for process in await application.repository.processes() for name in process.channels} != set(
        channels
    ):
        pass


@pytest.mark.both_databases
async def test_the_registered_channels_follow_the_settings(database_url: str) -> None:
    where = {"CERTCTL_DATABASE_URL": database_url}
    with anyio.fail_after(PATIENCE):
        async with opening(load_settings(None, where | WEBHOOK)) as opened:
            await registered(await opened.application(), {"Webhook"})
            await opened.reload(load_settings(None, where | SLACK))
            application = await opened.application()
            await registered(application, {"Slack"})
            assert application.notifications.channels.configured == ("Slack",)
            assert opened.channels == ("Slack",)


class OneChannel:
    """Notifiers with only the channel Webhook."""

    descriptions: Mapping[str, str] = {"Webhook": "a webhook"}

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def find(self, channel: str) -> Notifier | None:
        return self._notifier if channel == "Webhook" else None


@pytest.mark.both_databases
async def test_an_attempt_in_flight_completes_however_long_it_takes(database_url: str) -> None:
    settings = load_settings(
        None, WEBHOOK | {"CERTCTL_DATABASE_URL": database_url, "CERTCTL_NOTIFICATION_SHUTDOWN_GRACE": "0s"}
    )
    hanging = HangingNotifier()
    async with (
        open_application(settings, notifiers=OneChannel(hanging)) as application,
        anyio.create_task_group() as tasks,
    ):
        current = CurrentApplication(application)
        current.start(tasks)
        accepted = await application.notifications.send(new_notification(), actor=None)
        await hanging.receives()
        await current.replace(settings)
        await anyio.wait_all_tasks_blocked()
        hanging.release()
        with anyio.fail_after(PATIENCE):
            while not (await application.repository.get(accepted.notification.id)).delivered:
                pass
        current.stop()
    assert len(hanging.received) == 1


async def test_settings_reloaded_while_the_application_opens_are_applied(database_url: str) -> None:
    where = {"CERTCTL_DATABASE_URL": database_url}
    async with opening(load_settings(None, where | WEBHOOK)) as opened:
        await opened.reload(load_settings(None, where | SLACK))
        with anyio.fail_after(PATIENCE):
            application = await opened.application()
    assert application.notifications.channels.configured == ("Slack",)


async def test_settings_that_were_reloaded_while_others_are_taken_over_are_taken_over_too(
    database_url: str,
) -> None:
    where = {"CERTCTL_DATABASE_URL": database_url}
    begun, reloaded = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def open_and_reload(settings: Settings) -> AsyncIterator[Application]:
        begun.set()
        await reloaded.wait()
        async with open_application(settings) as application:
            first = application.open_replacement
            assert first is not None

            async def reload_meanwhile(settings: Settings) -> Application:
                await opened.reload(load_settings(None, where | WEBHOOK | SLACK))
                return await first(settings)

            yield dataclasses.replace(application, open_replacement=reload_meanwhile)

    async with opening(load_settings(None, where | WEBHOOK), open_and_reload) as opened:
        await begun.wait()
        await opened.reload(load_settings(None, where | SLACK))
        reloaded.set()
        with anyio.fail_after(PATIENCE):
            application = await opened.application()
    assert set(application.notifications.channels.configured) == {"Webhook", "Slack"}


async def test_a_channel_that_cannot_be_built_leaves_the_settings_unchanged(
    database_url: str, tmp_path: Path
) -> None:
    where = {"CERTCTL_DATABASE_URL": database_url}
    config = tmp_path / "settings.toml"
    config.write_text('[channels.Fax]\nkind = "plugin"\nnotifier = "fax"\n')
    async with opening(load_settings(None, where | WEBHOOK)) as opened:
        with anyio.fail_after(PATIENCE):
            before = await opened.application()
        with pytest.raises(SettingsError, match="Fax"):
            await opened.reload(load_settings(config, where))
        assert await opened.application() is before
        assert opened.channels == ("Webhook",)
