"""Checks when a server starts: who can reach it, and how good its keys are."""

import logging

from certctl_mcp.config.api_keys import GOOD_LENGTH, is_weak
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.placeholder_secrets import placeholder_keys

logger = logging.getLogger(__name__)


def require_keys_beyond_loopback(http: HttpSettings) -> None:
    """Raises: SettingsError: other machines could reach the server, and it has no keys, or a placeholder as a
    key."""
    if not http.on_loopback and not http.authenticates:
        raise SettingsError(
            [
                f"other machines could reach the queue at {http.host!r} without a key: "
                "set CERTCTL_API_KEYS_NAMED, or listen on 127.0.0.1"
            ]
        )
    if not http.on_loopback and (names := placeholder_keys(http.keys)):
        raise SettingsError(
            [
                f"other machines could reach the queue at {http.host!r} with the key of {names[0]}, which is "
                "still a placeholder: use one of `openssl rand -hex 32`, or listen on 127.0.0.1"
            ]
        )


def warn_of_weak_keys(http: HttpSettings) -> None:
    """Log a warning for each key that is easy to guess, or if there are no keys."""
    if not http.authenticates:
        logger.warning(
            "serving without keys: every program and user of this machine can read and change the queue; "
            "set CERTCTL_API_KEYS_NAMED"
        )
    for key in http.keys:
        if is_weak(key):
            logger.warning(
                "the key of %s is weak: use at least %d random characters, such as those of "
                "`openssl rand -hex 32`",
                key.name,
                GOOD_LENGTH,
            )
