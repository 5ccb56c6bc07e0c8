"""TLS with certificate reload: the files are checked periodically and loaded when they change.

New connections use the new certificate; existing ones are unaffected.
"""

import asyncio
import errno
import logging
import ssl
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio

from certctl_mcp.config.errors import SettingsError

logger = logging.getLogger(__name__)

RELOAD_INTERVAL = timedelta(seconds=5)

_MAX_SIZE = 1024 * 1024

_State = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The PEM files of a certificate chain and its private key."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A server context with the contents of the files.

        Raises:
            OSError: the files can't be read or don't match. `ssl.SSLError` is a subclass.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Without a password argument OpenSSL prompts for one on the terminal.
        context.load_cert_chain(self.certificate, self.key, password="")
        return context

    def state(self) -> _State:
        """A value that changes when the files do. Raises: OSError: one can't be read, or reading it might
        never end."""
        return tuple(_state_of(path) for path in (self.certificate, self.key))


class ReloadingContext:
    """A TLS 1.2+ server context that follows the certificate files while `watch` runs."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises: SettingsError: the files can't be used."""
        self._files = files
        try:
            self._state = files.state()
            self._newest = self.context = files.context()
        except OSError as failure:
            raise SettingsError(
                [f"can't use {files.certificate} and {files.key} for TLS: {_reason(failure)}"]
            ) from None
        # Loading a pair into a context in use is not atomic: a handshake could see half of it.
        self.context.sni_callback = self._use_newest

    async def watch(self, every: timedelta = RELOAD_INTERVAL) -> None:
        """Check the files periodically until cancelled."""
        while True:
            await anyio.sleep(every.total_seconds())
            await _in_daemon_thread(self.reload)

    def reload(self) -> None:
        """Use the files' contents if they have changed. Files that can't be used are ignored."""
        try:
            state = self._files.state()
            if state == self._state:
                return
            self._newest = self._files.context()
        except OSError as failure:
            logger.warning("keeping the current certificate: the new one can't be used: %s", _reason(failure))
            return
        self._state = state
        logger.info("reloaded the certificate: %s", self._files.certificate)

    def _use_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called during each handshake, with or without SNI."""
        connection.context = self._newest


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if found.st_size > _MAX_SIZE:
        raise OSError(errno.EFBIG, "too large for a PEM file", str(path))
    return found.st_ino, found.st_size, found.st_mtime_ns


async def _in_daemon_thread(work: Callable[[], None]) -> None:
    """Wait for `work`, which may hang, without blocking the event loop or the exit of the process."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            # The loop may have been closed meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="certificate reload", daemon=True).start()
    await done.wait()


def _reason(failure: OSError) -> str:
    if isinstance(failure, ssl.SSLError):
        return (failure.reason or "not PEM").replace("_", " ").lower()
    return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure.strerror)
