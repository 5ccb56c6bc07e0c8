"""How does a new certificate come into use? Its files are looked at, and read when they have changed.

Connections made from then on get it; those that there are go on as they are.
"""

import logging
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio

from certctl_mcp.config.errors import SettingsError

logger = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=5)

_State = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with what vouches for it, and its key, as PEM."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For serving with what they hold.

        Raises:
            OSError: they can't be read, or don't belong together. `ssl.SSLError` is one.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Without a password one would be asked for on the terminal.
        context.load_cert_chain(self.certificate, self.key, password="")
        return context

    def state(self) -> _State:
        """Differs from an earlier one when the files have changed. Raises: OSError."""
        found = (path.stat() for path in (self.certificate, self.key))
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)


class ReloadingContext:
    """TLS 1.2 and up with the certificate that the files hold. `watch` must be running to notice another."""

    def __init__(self, files: CertificateFiles) -> None:
        """Raises: SettingsError: the files can't be used."""
        self._files = files
        try:
            self._state = files.state()
            self._newest = self.context = files.context()
        except OSError as failure:
            raise SettingsError(
                [f"TLS with {files.certificate} and {files.key} is not possible: {_reason(failure)}"]
            ) from None
        # A context that is in use can't be given another pair in one step: a handshake might find half of it.
        self.context.sni_callback = self._choose

    async def watch(self, every: timedelta = LOOK_EVERY) -> None:
        """Look again and again, until cancelled."""
        while True:
            await anyio.sleep(every.total_seconds())
            self.look()

    def look(self) -> None:
        """Use what the files hold now, if they have changed. What can't be used changes nothing."""
        try:
            state = self._files.state()
            if state == self._state:
                return
            self._newest = self._files.context()
        except OSError as failure:
            logger.warning("the certificate in use stays: the new one can't be used: %s", _reason(failure))
            return
        self._state = state
        logger.info("a new certificate is in use: %s", self._files.certificate)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, whether or not the client names the server."""
        connection.context = self._newest


def _reason(failure: OSError) -> str:
    if isinstance(failure, ssl.SSLError):
        return (failure.reason or "not PEM").replace("_", " ").lower()
    return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure.strerror)
