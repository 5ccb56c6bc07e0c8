"""The steps of every command that uses the database: read settings, open the application, act, close it."""

import getpass
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio

from certctl_mcp.cli.commands.exit_on_error import failures_told
from certctl_mcp.config.settings import Settings, load_settings
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.logs import log_to_stderr
from certctl_mcp.runtime.platform import user_id
from certctl_mcp.services.actors import actor_name

Result = TypeVar("Result")


def with_application(config: Path | None, action: Callable[[Application], Awaitable[Result]]) -> Result:
    """What `action` gives. The loop does not run: nothing is delivered unless `action` asks for it.

    Raises:
        CommandFailedError: the settings are wrong, the database can't be used, or the action was refused.
    """
    with failures_told():
        settings = load_settings(config, os.environ)
        log_to_stderr("warning")
        return anyio.run(_run, settings, action)


async def _run(settings: Settings, action: Callable[[Application], Awaitable[Result]]) -> Result:
    async with open_application(settings) as application:
        return await action(application)


def operator() -> str:
    """The name under which the audit log records what a command does."""
    return actor_name("cli", _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return user_id()
