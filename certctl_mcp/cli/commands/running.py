"""The steps of every command that uses the queue: read settings, open the application, act, close it."""

import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import anyio
from pydantic import SecretStr

from certctl_mcp.cli.commands.exit_on_error import command_failures
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.existing_queue import require_queue
from certctl_mcp.runtime.logs import log_to_stderr
from certctl_mcp.runtime.platform import user_id
from certctl_mcp.services.actors import actor_name
from storage.errors import MissingQueueError

Result = TypeVar("Result")


class NoQueueError(CommandFailedError):
    """The configured database has no queue."""


class Access(Enum):
    """What a command may do to the database."""

    READ = auto()
    """The queue must exist; its schema is not changed."""
    CHANGE = auto()
    """The queue must exist; its schema is migrated as the settings say."""
    CREATE = auto()
    """The queue is created if there is none."""


def with_application(
    config: Path | None,
    action: Callable[[Application], Awaitable[Result]],
    access: Access = Access.READ,
    *,
    no_migrate: bool = False,
) -> Result:
    """Run `action` and return its result. The retry loop is not running, so nothing is delivered unless
    `action` does it.

    Raises:
        CommandFailedError: the settings are wrong, there is no queue, the database can't be used, or the
            action was refused.
    """
    with command_failures():
        settings = load_settings(config, os.environ)
        log_to_stderr("warning")
        if no_migrate or access is Access.READ:
            settings = settings.model_copy(update={"database_migrate": False})
        return anyio.run(_run, settings, action, access)


async def _run(
    settings: Settings, action: Callable[[Application], Awaitable[Result]], access: Access
) -> Result:
    if access is not Access.CREATE:
        try:
            await require_queue(settings)
        except MissingQueueError as missing:
            raise NoQueueError(ExitCode.DATABASE, str(missing)) from missing
    async with open_application(settings) as application:
        return await action(application)


def settings_of(config: Path | None) -> Settings:
    """The settings of a command that does not need the queue. Raises: SettingsError."""
    log_to_stderr("warning")
    return load_settings(config, os.environ)


@asynccontextmanager
async def without_queue(settings: Settings) -> AsyncIterator[Settings]:
    """Settings for an action that stores nothing, with a temporary database instead of the configured one."""
    with TemporaryDirectory(prefix="certctl-mcp-") as directory:
        url = SecretStr(f"sqlite:///{Path(directory) / 'empty.db'}")
        yield settings.model_copy(update={"database_url": url, "database_migrate": True})


def operator() -> str:
    """The name under which the audit log records the actions of a command."""
    return actor_name("cli", _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return user_id()
