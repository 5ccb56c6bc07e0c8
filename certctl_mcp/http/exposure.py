"""Who could reach the server where it is told to listen? None that it would not know by their keys."""

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings


def check_reach(http: HttpSettings) -> None:
    """Raises: SettingsError: strangers could reach the server and would be let in."""
    if not http.on_loopback and not http.authenticates:
        raise SettingsError(
            [
                f"others could reach the queue at {http.host!r}, and nothing would ask who they are: "
                "set CERTCTL_API_KEYS_NAMED, or listen on 127.0.0.1"
            ]
        )
