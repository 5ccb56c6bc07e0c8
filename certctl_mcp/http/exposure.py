"""The check that a server without keys listens on loopback only."""

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings


def require_keys_beyond_loopback(http: HttpSettings) -> None:
    """Raises: SettingsError: other machines could reach the server, and it has no keys."""
    if not http.on_loopback and not http.authenticates:
        raise SettingsError(
            [
                f"other machines could reach the queue at {http.host!r} without a key: "
                "set CERTCTL_API_KEYS_NAMED, or listen on 127.0.0.1"
            ]
        )
