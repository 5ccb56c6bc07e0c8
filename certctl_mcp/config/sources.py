"""The effective settings: the value of each one, and where it came from."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, HttpUrl, JsonValue, SecretStr

from certctl_mcp.config.channel_limits import format_rate
from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.errors import Key, Origin
from certctl_mcp.config.reference import Entry, channel_entries, entries, plain
from certctl_mcp.config.secret_files import KEY_SUFFIX, VARIABLE_SUFFIX
from certctl_mcp.config.settings import KINDS, Settings

MASKED = "********"
"""The text shown instead of a secret, whatever its length."""

_WITH_PASSWORD = ("database_url", "proxy")
"""URLs in which only the password and the query are secret."""


class Source(StrEnum):
    """Where a setting came from. Later ones override earlier ones."""

    DEFAULT = "default"
    SETTINGS_FILE = "settings file"
    FILE = "file"
    """A secret file."""
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class EffectiveSetting(BaseModel):
    """A setting, its value and its source."""

    model_config = ConfigDict(frozen=True)

    key: str
    """The key in the settings file, such as `channels.Slack.webhook_url`."""
    variable: str | None
    section: str
    value: JsonValue
    """None if nothing is set; a secret is masked."""
    source: Source
    meaning: str
    default: str


def source_of(key: Key, origin: Origin) -> Source:
    """Where the setting with this key came from."""
    if _holds(origin.options, key):
        return Source.COMMAND_LINE
    variable = variable_of(key)
    if variable is not None and origin.environ.get(variable, "").strip():
        return Source.ENVIRONMENT
    of_file = (*key[:-1], f"{key[-1]}{KEY_SUFFIX}")
    if variable is not None and origin.environ.get(variable + VARIABLE_SUFFIX, "").strip():
        return Source.FILE
    if _holds(origin.file, of_file):
        return Source.FILE
    return Source.SETTINGS_FILE if _holds(origin.file, key) else Source.DEFAULT


def variable_of(key: Key) -> str | None:
    """The variable of a setting; None if it can only be in the settings file."""
    return next((name for name, held in VARIABLES.items() if held == key), None)


def effective_settings(settings: Settings) -> Iterator[EffectiveSetting]:
    """All settings by section, including those of certctl's channels that are not configured."""
    for section, listed in entries():
        for entry in listed:
            yield _effective(entry, section, _setting_value(settings, entry.key), settings.origin)
    kinds = {channel.name: channel.destination.kind for channel in settings.channels}
    for name, kind in {**kinds, **{name: kind for name, kind in KINDS.items() if name not in kinds}}.items():
        channel = settings.named_channels.get(name)
        section = f"Channel {name}" + ("" if channel else " (not configured)")
        for entry in channel_entries(name, kind):
            if channel is not None:
                held = getattr(channel.destination, entry.key[-1], None)
                value = getattr(channel, entry.key[-1]) if entry.of_every_channel else held
                yield _effective(entry, section, value, settings.origin)
            elif entry.variable is not None:
                yield _effective(entry, section, None, settings.origin)


def _effective(entry: Entry, section: str, value: object, origin: Origin) -> EffectiveSetting:
    source = Source.DEFAULT if value is None else source_of(entry.key, origin)
    if entry.key[-1] == "proxy" and value is not None and source is Source.DEFAULT:
        # The proxy variables apply to channels without a proxy setting.
        source = Source.ENVIRONMENT
    return EffectiveSetting(
        key=".".join(entry.key),
        variable=entry.variable,
        section=section,
        value=_shown(entry.key, value),
        source=source,
        meaning=plain(entry.meaning.markdown),
        default=plain(entry.default),
    )


def _setting_value(settings: Settings, key: Key) -> object:
    table: object = settings if len(key) == 1 else getattr(settings, key[0])
    value: object = getattr(table, key[-1])
    return value


def _shown(key: Key, value: object) -> JsonValue:
    """A value as JSON, with durations as they are written, and without secrets."""
    match value:
        case SecretStr():
            return _masked(key[-1], value.get_secret_value())
        case timedelta():
            return format_rate(value) if key[-1] == "rate" else format_duration(value)
        case HttpUrl() | Path():
            return str(value)
        case BaseModel():
            return {
                name: _shown((*key, name), getattr(value, name)) for name in sorted(value.model_fields_set)
            }
        case Mapping():
            # Options of another package's notifier may be secrets under any name.
            hidden = key[-1] == "options"
            return {
                str(name): MASKED if hidden else _shown((*key, str(name)), item)
                for name, item in value.items()
            }
        case tuple() | list():
            return [_shown(key, item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)


def _masked(name: str, secret: str) -> str:
    """A masked secret. Of a URL, the host is shown, and for some URLs the user and the path."""
    if name in _WITH_PASSWORD and "://" not in secret:
        return secret
    try:
        parts = urlsplit(secret)
    except ValueError:
        return MASKED
    credentials, at, place = parts.netloc.rpartition("@")
    if name in _WITH_PASSWORD:
        user, colon, _ = credentials.partition(":")
        query = f"?{MASKED}" if parts.query else ""
        return f"{parts.scheme}://{user}{colon and f':{MASKED}'}{at}{place}{parts.path}{query}"
    # Other URLs, such as Apprise's, may have a token in place of the host.
    return f"{parts.scheme}://{place}/{MASKED}" if parts.scheme in ("http", "https") else MASKED


def _holds(table: Mapping[str, object], key: Key) -> bool:
    value: object = table
    for part in key:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True
