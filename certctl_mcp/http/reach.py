"""Who could reach the server where it is told to listen? None that it would not know by their keys."""

from certctl_mcp.http.settings import HttpSettings
from certctl_mcp.settings_errors import SettingsError


def check_reach(http: HttpSettings) -> None:
    """Raises: SettingsError: strangers could reach the server and would be let in."""
    if not http.on_loopback and not http.authenticates:
        raise SettingsError(
            [
                f"others could reach the queue at {http.host!r}, and nothing would ask who they are: "
                "set CERTCTL_API_KEYS_NAMED, or listen on 127.0.0.1"
            ]
        )
