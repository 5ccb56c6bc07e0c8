"""Secrets that were copied from an example, such as `change-me`, and never replaced.

A channel with such a secret can't deliver anything, and such an API key is easy to guess.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from certctl_mcp.config.api_keys import ApiKey
from certctl_mcp.config.errors import Key
from certctl_mcp.config.settings import Settings

_WORD = re.compile(r"[A-Za-z0-9]+", re.ASCII)

_REPEATED = frozenset("xyz")
_LEAST_REPEATED = 4
"""As in `XXXX`. Three equal letters may occur in a random token."""

_BEGINNINGS = ("changeme", "changethis", "replaceme", "replacethis", "placeholder", "fixme", "redacted")


def is_placeholder(secret: str) -> bool:
    """Whether this is a text from an example: `XXXX`, `change-me`, `your-routing-key`, `<token>`, `***`."""
    text = secret.strip()
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return bool(text)
    joined = "".join(words)
    return (
        (text.startswith("<") and text.endswith(">"))
        or any(
            len(word) >= _LEAST_REPEATED and word[0] in _REPEATED and len(set(word)) == 1 for word in words
        )
        or joined.startswith(_BEGINNINGS)
        or (words[0] == "your" and len(words) > 1 and joined.isalpha())
    )


def placeholder_keys(keys: tuple[ApiKey, ...]) -> tuple[str, ...]:
    """The names of the API keys that are placeholders."""
    return tuple(key.name for key in keys if is_placeholder(key.key.get_secret_value()))


def placeholder_secrets(settings: Settings) -> Iterator[Key]:
    """The settings whose secrets are placeholders, by their keys in the settings file."""
    if is_placeholder(_password(settings.database_url.get_secret_value())):
        yield ("database_url",)
    if placeholder_keys(settings.http.keys):
        yield ("http", "auth_secret" if settings.http.api_keys_named is None else "api_keys_named")
    for channel in settings.channels:
        for name in type(channel.destination).model_fields:
            if any(map(is_placeholder, _parts(getattr(channel.destination, name)))):
                yield ("channels", channel.name, name)


def _parts(value: object) -> Iterator[str]:
    """The secret texts in the value of a field; for a URL, the parts that may be secrets by themselves."""
    match value:
        case SecretStr() if "://" in (text := value.get_secret_value()):
            try:
                parts = urlsplit(text)
            except ValueError:
                return
            yield from (unquote(part) for part in (_password(text), *parts.path.split("/")) if part)
            yield from (unquote(pair.partition("=")[2]) for pair in parts.query.split("&"))
        case SecretStr():
            yield value.get_secret_value()
        case Mapping():
            for item in value.values():
                yield from _parts(item)
        case tuple():
            for item in value:
                yield from _parts(item)


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""
