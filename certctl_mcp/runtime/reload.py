"""Reloads the settings while a process runs: on request, and when a secret file has changed.

Invalid settings change nothing, and settings that can't change in a running process stay as they were. Both
cases are logged.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import anyio
import anyio.to_thread

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.secret_files import SecretFile
from certctl_mcp.config.settings import Settings
from certctl_mcp.runtime.logs import log_to_stderr
from storage.errors import StorageError

logger = logging.getLogger(__name__)

SECRETS_INTERVAL = timedelta(seconds=5)
"""How often secret files are checked."""

FIXED = ("database_url", "database_migrate", "read_only", "tools", "exclude", "shutdown_grace")
"""Settings that take effect only when a process starts."""

HTTP_RELOADED = (
    "api_keys_named",
    "auth_secret",
    "allowed_hosts",
    "allowed_origins",
    "rate_limit_enabled",
    "rate_limit_rps",
    "rate_limit_burst",
)
"""The HTTP settings that can be reloaded; the rest, such as the address, is fixed."""

Load = Callable[[], Settings]
"""Reads the settings in the same way as at the start. Raises: SettingsError."""

Apply = Callable[[Settings], Awaitable[None]]
"""Puts settings into effect, or raises SettingsError or StorageError and changes nothing."""


class SettingsReload:
    """Keeps the settings of a process up to date while `run` runs."""

    def __init__(
        self,
        settings: Settings,
        load: Load,
        *,
        interval: timedelta = SECRETS_INTERVAL,
    ) -> None:
        """`settings` are those with which the process was started."""
        self._settings = settings
        self._load = load
        self._interval = interval.total_seconds()
        self._secrets = settings.secret_files
        self._requested = anyio.Event()

    def request(self) -> None:
        """Make `run` reload as soon as possible."""
        self._requested.set()

    async def run(self, apply: Apply) -> None:
        """Reload when needed, until cancelled."""
        while True:
            with anyio.move_on_after(self._interval if self._secrets else None):
                await self._requested.wait()
            if self._requested.is_set():
                self._requested = anyio.Event()
                await self._reload(apply, "on request")
            else:
                await self._reload_changed_secrets(apply)

    async def _reload_changed_secrets(self, apply: Apply) -> None:
        changed = await anyio.to_thread.run_sync(_changed, self._secrets)
        if changed:
            # Report a file that can't be used only once.
            self._secrets = tuple(file.refreshed() for file in self._secrets)
            await self._reload(apply, f"because {', '.join(str(file.path) for file in changed)} changed")

    async def _reload(self, apply: Apply, why: str) -> None:
        try:
            read = await anyio.to_thread.run_sync(self._load)
            settings, kept = with_fixed_settings(self._settings, read)
            await apply(settings)
        except SettingsError as wrong:
            for problem in wrong.problems:
                logger.error("the settings were not reloaded, and the old ones stay in effect: %s", problem)
            return
        except StorageError as failure:
            logger.error("the settings were not reloaded, and the old ones stay in effect: %s", failure)
            return
        except Exception:
            # The supervised edge: whatever is wrong with new settings, deliveries continue.
            logger.exception("the settings were not reloaded, and the old ones stay in effect")
            return
        before, self._settings, self._secrets = self._settings, settings, settings.secret_files
        if _differing(("log_level", "log_format"), before, settings):
            log_to_stderr(settings.log_level, settings.log_format)
        logger.info(
            "the settings were reloaded %s; changed: %s",
            why,
            ", ".join(changes(before, settings)) or "nothing",
        )
        if kept:
            logger.warning("not reloaded, because it takes effect only after a restart: %s", ", ".join(kept))


def with_fixed_settings(current: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """The settings that were read, in which those that can't be reloaded keep their old values, and the names
    of the latter."""
    fixed = _differing(FIXED, current, read)
    fixed_http = _differing(set(HttpSettings.model_fields).difference(HTTP_RELOADED), current.http, read.http)
    http = read.http.model_copy(update={name: getattr(current.http, name) for name in fixed_http})
    kept = {name: getattr(current, name) for name in fixed}
    return read.model_copy(update=kept | {"http": http}), [*fixed, *(f"http.{name}" for name in fixed_http)]


def changes(before: Settings, after: Settings) -> list[str]:
    """The names of the settings that differ."""
    names = _differing(set(Settings.model_fields) - {"named_channels", "http"}, before, after)
    names += [f"http.{name}" for name in _differing(HttpSettings.model_fields, before.http, after.http)]
    old, new = before.named_channels, after.named_channels
    for channel in sorted(old.keys() | new.keys()):
        if old.get(channel) != new.get(channel):
            how = "added" if channel not in old else "removed" if channel not in new else "changed"
            names.append(f"channel {channel} {how}")
    return names


def _differing(names: Iterable[str], one: object, other: object) -> list[str]:
    return sorted(name for name in names if getattr(one, name) != getattr(other, name))


def _changed(files: Iterable[SecretFile]) -> list[SecretFile]:
    return [file for file in files if file.changed()]
