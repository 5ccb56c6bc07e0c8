"""The settings of a process: the command line overrides environment variables, which override a TOML file and
the defaults."""

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from certctl_mcp.config.dead_letters import DeadLetterSettings, check_fallbacks
from certctl_mcp.config.delivery_mode import DeliveryMode, read_mode
from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.durations import CappedDuration, Duration, format_duration
from certctl_mcp.config.environment import CONFIG_VARIABLE, Table, read_environment
from certctl_mcp.config.errors import CHANNEL_KEYS, Origin, SettingsError, explain
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.placeholders import placeholders
from certctl_mcp.config.proxies import UnusableProxyError
from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.config.secret_files import SecretFile, SecretFiles
from certctl_mcp.config.tool_groups import DEFAULT_TOOLS, ToolGroup, groups_of, parse_tools, served_tools
from storage.limits import LONGEST_BACKOFF, LONGEST_LEASE
from storage.platform import IS_WINDOWS

LogLevel = Literal["debug", "info", "warning", "error"]

KINDS = {
    "Email": "email",
    "Webhook": "webhook",
    "Slack": "slack",
    "Teams": "teams",
    "PagerDuty": "pagerduty",
    "OpsGenie": "opsgenie",
}
"""certctl's own channels; a table with one of these names needs no `kind`."""

_WINDOWS_PATH = re.compile(r"/{0,2}[A-Za-z]:[\\/]")

_LEASE_MARGIN = timedelta(seconds=15)
"""Time to record the outcome of an attempt that took the whole send timeout."""

_LEAST_LEASE_MARGIN = timedelta(seconds=1)
"""With less, the time could run out before an attempt begins, and its claim would be released."""


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://alerts.example.com, without a query")
    if not (url.isascii() and url.isprintable()) or set(url) & set(' <>"|'):
        raise ValueError("must be a URL of printable ASCII, the rest percent-encoded")
    return url


def load_settings(config: Path | str | None, environ: Mapping[str, str], **options: object) -> "Settings":
    """Read the settings, and the files that hold secrets.

    `config` is the path of a TOML file; without one, the file that `CERTCTL_CONFIG` names, if any. `options`
    are fields given on the command line, which override both.

    Raises:
        SettingsError: a file can't be read, or a setting is wrong, missing or unknown.
    """
    named = environ.get(CONFIG_VARIABLE, "").strip()
    path = Path(config) if config else Path(named) if named else None
    file = _read_file(_in_home(path)) if path else {}
    origin = Origin(environ, file, path, options)
    unexpanded = [
        f"{origin.place(key)} holds an unexpanded placeholder ({form}): write the value itself; "
        "nothing expands it, because MCP hosts start servers without a shell"
        for key, form in placeholders(_merged(file, _environment_table(environ, file)))
    ]
    secret_files = SecretFiles()
    # The contents of secret files are used unchanged: they were not meant for a shell.
    environ_with_files = secret_files.resolve_environment(environ)
    written = secret_files.resolve_table(file, path)
    written = _merged(written, _environment_table(environ_with_files, written))
    if problems := [*unexpanded, *secret_files.problems]:
        raise SettingsError(problems)
    try:
        settings = Settings.model_validate(_merged(written, options))
    except ValidationError as error:
        raise SettingsError(explain(error, Settings, origin)) from None
    settings = settings.model_copy(
        update={"named_channels": _with_environment_proxies(settings.named_channels, environ)}
    )
    settings._origin = origin
    settings._secret_files = secret_files.read
    return settings


class Settings(BaseModel):
    """All settings; each field is a key of the settings file.

    Secrets are wrapped, so that printing the settings doesn't show them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    _origin: Origin = PrivateAttr(default_factory=lambda: Origin({}, {}, None))

    database_url: SecretStr = Field(default_factory=lambda: SecretStr(_default_database_url()))
    """May hold a password. `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///~/in/home.db`, or
    `postgresql://user:password@host:5432/database` with libpq's parameters after a question mark."""
    database_migrate: bool | None = None
    """Whether missing parts of the schema may be added to the database. If not, it can still be read.

    None means yes, except on a database of certctl's that `certctl-mcp migrate` has never migrated.
    """
    deliver: Annotated[DeliveryMode | None, BeforeValidator(read_mode)] = None
    """What this process attempts. It accepts, requeues and reports in every mode.

    None means `deliver`, except on certctl's own database, where it means `watch`: certctl's server delivers
    and ignores leases.
    """
    rescue_grace: Annotated[Duration, Field(ge=timedelta(minutes=2), le=timedelta(days=1))] = timedelta(
        minutes=5
    )
    """How long certctl's server may take to send a notification that it has read. It gives a batch one
    minute, and its slowest channel has a timeout of 30 seconds."""
    retry_interval: Annotated[CappedDuration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=2)
    """The longest sleep between two polls of the queue."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    backoff_base: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(minutes=1)
    backoff_cap: Annotated[Duration, Field(gt=timedelta(0), le=LONGEST_BACKOFF)] = timedelta(hours=1)
    retry_jitter: float = Field(default=0, ge=0, le=1)
    missing_notifier: Literal["sent", "dead"] = "sent"
    """What becomes of a notification whose channel has no notifier: settled as undelivered, or a dead
    letter."""
    missing_notifier_after: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=7))] = timedelta(
        minutes=15
    )
    """How long no live process must have had a channel before `missing_notifier` applies."""
    outage_hold: Annotated[Duration, Field(le=timedelta(days=7))] | None = None
    """How long a channel is held during an outage: its notifications wait without using up attempts, while
    single attempts show whether it works again. None: it is never held."""
    send_timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=30))] = timedelta(
        seconds=30
    )
    """The longest that one attempt may take."""
    concurrency: int = Field(default=50, ge=1, le=1000)
    """The most attempts in flight at once."""
    channel_concurrency: int = Field(default=10, ge=1, le=1000)
    """The most attempts in flight in a channel without its own limit."""
    shutdown_grace: Duration = timedelta(seconds=10)
    """How long attempts in flight may take to finish during shutdown."""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """Where people reach the page of this server; messages link to it."""
    log_level: LogLevel = "info"
    log_format: Literal["text", "json"] = "text"
    read_only: bool = False
    """Whether an assistant is offered only tools that change nothing. Such a process delivers nothing unless
    `deliver` is set."""
    exclude: tuple[str, ...] = ()
    """Tools or groups of tools that an assistant is not offered, although `tools` has them."""
    tools: tuple[str, ...] = DEFAULT_TOOLS
    """The tools that an assistant is offered: groups or single names, separated by commas in the environment.

    The default is everything except `purge`, which deletes permanently and must be named.
    """
    elicitation: bool = True
    """Whether bulk actions ask the user directly, if the client supports that. Otherwise they return a
    preview and are confirmed by a second call."""
    http: HttpSettings = HttpSettings()
    named_channels: dict[str, Channel] = Field(default={}, validation_alias="channels")
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    retention: RetentionSettings = RetentionSettings()
    lease: Duration = Field(default_factory=lambda data: _send_timeout(data) + _LEASE_MARGIN)
    """How long a claim lasts. It is renewed if an attempt may take longer than the send timeout, as with
    mail."""
    _secret_files: tuple[SecretFile, ...] = PrivateAttr(default=())

    @property
    def secret_files(self) -> tuple[SecretFile, ...]:
        """The files from which secrets were read."""
        return self._secret_files

    def __eq__(self, other: object) -> bool:
        """Wherever they were read."""
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    @property
    def origin(self) -> Origin:
        """Where they were read."""
        return self._origin

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(self.named_channels.values())

    @property
    def served_tools(self) -> frozenset[str]:
        return served_tools(self.tools, self.exclude, read_only=self.read_only)

    @property
    def tool_groups(self) -> frozenset[ToolGroup]:
        """What front ends without their own tools may do."""
        return groups_of(self.served_tools)

    @field_validator("database_url")
    @classmethod
    def _is_url(cls, url: SecretStr) -> SecretStr:
        scheme, separator, rest = url.get_secret_value().strip().partition("://")
        if not separator or not rest:
            raise ValueError("must be a URL such as sqlite:////var/lib/certctl-mcp/notifications.db")
        # MCP hosts start servers without a shell, so nothing else expands the home directory.
        if scheme.startswith("sqlite") and rest.startswith("/~/"):
            try:
                rest = f"/{Path(rest[1:]).expanduser()}"
            except RuntimeError:
                raise ValueError("must not begin with ~, because this user has no home directory") from None
        if scheme.startswith("sqlite") and _WINDOWS_PATH.match(rest) and not IS_WINDOWS:
            raise ValueError("must not be a Windows path, because this is not Windows")
        return SecretStr(f"{scheme}://{rest}")

    @field_validator("lease")
    @classmethod
    def _outlives_an_attempt(cls, lease: timedelta, info: ValidationInfo) -> timedelta:
        send_timeout = _send_timeout(info.data)
        if lease < send_timeout + _LEAST_LEASE_MARGIN:
            raise ValueError(
                f"must be at least 1s longer than the send timeout ({format_duration(send_timeout)})"
            )
        if lease > LONGEST_LEASE:
            raise ValueError(f"must be at most {format_duration(LONGEST_LEASE)}")
        return lease

    @field_validator("log_level", mode="before")
    @classmethod
    def _log_level_as_elsewhere(cls, level: object) -> object:
        if not isinstance(level, str):
            return level
        level = level.strip().lower()
        # certctl's spelling of it.
        return "warning" if level == "warn" else level

    @field_validator("tools", "exclude", mode="before")
    @classmethod
    def _tools_by_name(cls, selection: object, info: ValidationInfo) -> object:
        names = [selection] if isinstance(selection, str) else selection
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return () if info.field_name == "exclude" and not names else parse_tools(",".join(names))
        return selection

    @field_validator("tools")
    @classmethod
    def _something_is_served(cls, tools: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        served_tools(tools, info.data.get("exclude", ()), read_only=info.data.get("read_only", False))
        return tools

    @field_validator("named_channels", mode="before")
    @classmethod
    def _channels_from_tables(cls, tables: object) -> object:
        if not isinstance(tables, dict):
            return tables
        return {name: _channel_from_table(name, table) for name, table in tables.items()}

    @field_validator("named_channels")
    @classmethod
    def _fallbacks_can_be_followed(cls, channels: dict[str, Channel]) -> dict[str, Channel]:
        check_fallbacks(channels)
        return channels

    @field_validator("dead_letters")
    @classmethod
    def _alerts_have_a_channel(
        cls, dead_letters: DeadLetterSettings, info: ValidationInfo
    ) -> DeadLetterSettings:
        # Invalid channels are missing here.
        if "named_channels" in info.data:
            dead_letters.check(info.data["named_channels"])
        return dead_letters


def _environment_table(environ: Mapping[str, str], file: Table) -> Table:
    channels = file.get("channels")
    return read_environment(environ, channels if isinstance(channels, dict) else ())


def _send_timeout(settings: Mapping[str, Any]) -> timedelta:
    """Judged by the settings validated so far; an invalid one is missing."""
    timeout: timedelta = settings.get("send_timeout", timedelta(0))
    return timeout


def _with_environment_proxies(
    channels: Mapping[str, Channel], environ: Mapping[str, str]
) -> dict[str, Channel]:
    reached: dict[str, Channel] = {}
    problems: list[str] = []
    for name, channel in channels.items():
        try:
            reached[name] = channel.with_environment_proxy(environ)
        except UnusableProxyError as error:
            problems.append(f"{error}; the channel {name} can have its own proxy setting")
    if problems:
        raise SettingsError(problems)
    return reached


def _channel_from_table(name: str, table: object) -> object:
    """A flat table as the nested input of `Channel`; validation refuses anything but a table."""
    if not isinstance(table, dict):
        return table
    channel: Table = {"name": name}
    destination: Table = {"kind": KINDS[name]} if name in KINDS else {}
    for key, value in table.items():
        (channel if key in CHANNEL_KEYS else destination)[key] = value
    return channel | {"destination": destination}


def _merged(base: Mapping[str, object], override: Mapping[str, object]) -> Table:
    """`base` with the values of `override`; tables that both have are merged key by key."""
    result = dict(base)
    for key, value in override.items():
        match result.get(key), value:
            case dict() as table, dict() as overrides:
                result[key] = _merged(table, overrides)
            case _:
                result[key] = value
    return result


def _default_database_url() -> str:
    import platformdirs

    try:
        directory = platformdirs.user_data_path("certctl-mcp", appauthor=False)
    except RuntimeError:
        problem = (
            "CERTCTL_DATABASE_URL is missing: this user has no home directory for the default database; "
            "set it, such as sqlite:////var/lib/certctl-mcp/notifications.db"
        )
        raise SettingsError([problem]) from None
    return f"sqlite:///{directory / 'notifications.db'}"


def _in_home(path: Path) -> Path:
    """`path` with a leading `~` expanded. Raises: SettingsError: there is no home directory."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise SettingsError(
            [f"the settings file {path} can't be found: there is no home directory"]
        ) from None


_MAX_FILE = 1024 * 1024
"""Bytes. A path such as /dev/zero must not use up the memory."""


def _read_file(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
        if len(content) > _MAX_FILE:
            raise SettingsError([f"the settings file {path} is larger than {_MAX_FILE} bytes"])
        return tomllib.loads(content.decode())
    except OSError as error:
        raise SettingsError([f"the settings file {path} can't be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"the settings file {path} is not valid TOML: {error}"]) from None
