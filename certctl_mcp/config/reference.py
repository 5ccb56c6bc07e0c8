"""The reference of settings: the meaning of each one, for `certctl-mcp config` and docs/settings.md.

Meanings are Markdown. Defaults come from the models; a default that depends on something is described here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from certctl_mcp.config.channel_limits import NO_LIMIT
from certctl_mcp.config.destinations import Channel
from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.errors import CHANNEL_KEYS, DESTINATIONS, TABLES, Key
from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.config.settings import Settings

_LINK = re.compile(r"\[([^\]\[]{1,200})\]\([^()]{1,200}\)")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a setting means, and its default if that is not a fixed value."""

    markdown: str
    default: str | None = None


def plain(markdown: str) -> str:
    """The text without links and markup, for a terminal."""
    return _LINK.sub(r"\1", markdown).replace("`", "")


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that belong together, by their keys in the settings file."""

    title: str
    settings: Mapping[Key, Meaning]


def _keys(table: str, settings: Mapping[str, Meaning]) -> Mapping[Key, Meaning]:
    return MappingProxyType({((table, name) if table else (name,)): said for name, said in settings.items()})


SECTIONS = (
    Section(
        "Database",
        _keys(
            "",
            {
                "database_url": Meaning(
                    "`sqlite:////var/lib/certctl-mcp/notifications.db`, or "
                    "`postgresql://user:password@host:5432/database`",
                    "a file in the user's data directory",
                ),
                "database_migrate": Meaning(
                    "whether missing parts of the schema may be added to the database (`--no-migrate`)",
                    "true, but on certctl's database only after `certctl-mcp migrate`",
                ),
            },
        ),
    ),
    Section(
        "Deliveries",
        _keys(
            "",
            {
                "deliver": Meaning(
                    "what this process attempts: everything (`deliver` or `true`), nothing (`watch` or "
                    "`false`), or what certctl's server leaves undelivered ([`rescue`](certctl.md))",
                    "`deliver`, but `watch` on certctl's database",
                ),
                "rescue_grace": Meaning(
                    "how long certctl's server may take to send an alert that it has read, from 2m to 1d"
                ),
                "max_attempts": Meaning("failed attempts after which a notification is a dead letter"),
                "backoff_base": Meaning("the first wait; each further one is twice as long"),
                "backoff_cap": Meaning("the longest wait, at most 7d"),
                "retry_jitter": Meaning("the largest random fraction by which a wait is extended"),
                "retry_interval": Meaning(
                    "the longest time between two polls of the queue; longer values count as 365d"
                ),
                "outage_hold": Meaning(
                    "how long a channel is [held during an outage](channels.md#outages), such as 24h, at "
                    "most 7d; without it, never"
                ),
                "send_timeout": Meaning("timeout of one attempt, at most 30m"),
                "lease": Meaning("how long a claim is valid, at most 1h", "send timeout + 15s"),
                "concurrency": Meaning("attempts in flight in total"),
                "channel_concurrency": Meaning("attempts in flight per channel"),
                "shutdown_grace": Meaning("how long a shutdown waits for attempts in flight"),
                "missing_notifier": Meaning(
                    "`dead` moves notifications without a notifier to the dead-letter queue"
                ),
                "missing_notifier_after": Meaning(
                    "how long no running process must have had the channel before that happens"
                ),
            },
        ),
    ),
    Section(
        "Dead letters",
        _keys(
            "dead_letters",
            {
                "alert": Meaning(
                    "the channel of [alerts about dead letters](operating.md#dead-letters); without one "
                    "there are none"
                ),
                "recipient": Meaning("their recipient; Email needs one"),
                "window": Meaning(
                    "dead letters of one channel and cause are announced once in this time, at least 1m"
                ),
            },
        ),
    ),
    Section(
        "Retention",
        _keys(
            "retention",
            {
                "sent": Meaning(
                    "[how long](operating.md#retention) a delivered notification is kept, such as `90d`; at "
                    "least 1d",
                    "forever",
                ),
                "read": Meaning("how long a notification marked as read is kept", "forever"),
                "dead": Meaning(
                    "how long dead letters are kept, and notifications that count as sent although "
                    "nothing was delivered",
                    "forever",
                ),
                "audit": Meaning("how long entries of the audit log are kept", "forever"),
            },
        ),
    ),
    Section(
        "MCP",
        _keys(
            "",
            {
                "read_only": Meaning("`true` offers only tools that change nothing, as `--read-only`"),
                "tools": Meaning("the tools to offer, by group or name, as `--tools`", "all but `purge`"),
                "exclude": Meaning("tools or groups not to offer, as `--exclude`"),
                "elicitation": Meaning(
                    "`false` never asks the user with a form; bulk actions then return a preview first"
                ),
            },
        ),
    ),
    Section(
        "Log and links",
        _keys(
            "",
            {
                "log_level": Meaning("debug, info, warning or error; logs go to stderr"),
                "log_format": Meaning("`text` or `json`, one object per line"),
                "public_url": Meaning("where people reach the page; messages link to it"),
            },
        ),
    ),
    Section(
        "HTTP",
        _keys(
            "http",
            {
                "host": Meaning("the address that HTTP is served on"),
                "port": Meaning("its port; 0 picks a free one"),
                "tls_cert": Meaning(
                    "serve HTTPS with this certificate and its chain (PEM); reloaded when it changes"
                ),
                "tls_key": Meaning("the certificate's private key (PEM)"),
                "allowed_hosts": Meaning(
                    "host names that clients use, separated by commas", "the address it listens on"
                ),
                "trusted_proxies": Meaning(
                    "addresses or networks (`10.0.0.0/24`) of reverse proxies whose `X-Forwarded-For` names "
                    "the client"
                ),
                "api_keys_named": Meaning(
                    "`name:key`, `name:key:admin` or `name:key:read-only`, separated by commas"
                ),
                "auth_secret": Meaning(
                    "keys without names, separated by commas; ignored if there are named keys"
                ),
                "allowed_origins": Meaning("other origins whose web pages may call the server"),
                "max_body_size": Meaning("the largest request body, in bytes"),
                "rate_limit_enabled": Meaning("whether requests are limited"),
                "rate_limit_rps": Meaning(
                    "requests per second for each key, or for each address without keys"
                ),
                "rate_limit_burst": Meaning("how many of them at once after a quiet time"),
                "oauth_issuer": Meaning("accept this issuer's access tokens at `/mcp`"),
                "oauth_resource": Meaning(
                    "the URL of `/mcp` as clients see it; tokens must be issued for it"
                ),
                "oauth_jwks_url": Meaning("the URL of the issuer's keys", "the one in its metadata"),
            },
        ),
    ),
)
"""The settings outside channels."""

_INCIDENT_DEDUP = Meaning(
    "`notification` gives each alert its own incident; `certificate` makes all alerts about one "
    "certificate [share an incident](channels.md#pagerduty-and-opsgenie)"
)
_INCIDENT_TYPES = Meaning(
    "`action`, and `severity` or `priority`, [by type](channels.md#pagerduty-and-opsgenie)", "none"
)

DESTINATION_MEANINGS: Mapping[str, Mapping[str, Meaning]] = {
    "email": {
        "host": Meaning("the SMTP relay"),
        "port": Meaning("587 for STARTTLS, 465 for TLS from the first byte"),
        "username": Meaning("the login, if the relay requires one"),
        "password": Meaning("its password"),
        "from_address": Meaning("the sender, such as `Certificates <certificates@example.com>`"),
        "security": Meaning(
            "`starttls`, `tls` or `none`; `true` means what is usual for the port",
            "`tls` on 465, else `starttls`",
        ),
        "recipients": Meaning(
            "the [addresses that mail may go to](channels.md#e-mail), such as `*@example.com`, separated by "
            "commas",
            "any; an assistant may write to the sender's domain only",
        ),
        "ehlo_name": Meaning("the name in the greeting to the relay", "this host's full name"),
        "data_timeout": Meaning(
            "how long the relay may take to accept a mail that it has received, at most 10m"
        ),
        "html": Meaning("whether to send a simple HTML version beside the text"),
    },
    "webhook": {
        "url": Meaning("the receiver"),
        "secrets": Meaning(
            "the signing secret, as [Standard Webhooks](https://www.standardwebhooks.com) defines it; in the "
            "file a list, newest first"
        ),
        "format": Meaning(
            "`standard`, or `certctl` for [certctl's body and signature](channels.md#webhooks)"
        ),
        "headers": Meaning("additional headers, such as `Authorization`", "none"),
        "success_status": Meaning(
            "the [statuses that mean success](channels.md#when-an-alert-counts-as-delivered)", "every 2xx"
        ),
        "success_json": Meaning("fields that the response must have with these values", "none"),
    },
    "slack": {
        "webhook_url": Meaning("a Slack incoming webhook"),
        "channel": Meaning("a channel other than the webhook's own, where Slack still allows it"),
        "username": Meaning("the sender to show, where Slack still allows it"),
    },
    "teams": {"webhook_url": Meaning("a Microsoft Teams Workflows webhook")},
    "pagerduty": {
        "routing_key": Meaning("the integration key of a service (Events API v2)"),
        "severity": Meaning("critical, error, warning or info"),
        "dedup": _INCIDENT_DEDUP,
        "types": _INCIDENT_TYPES,
        "api_url": Meaning("the endpoint, such as `https://events.eu.pagerduty.com/v2/enqueue`"),
    },
    "opsgenie": {
        "api_key": Meaning("the key of an API integration"),
        "priority": Meaning("P1 to P5"),
        "dedup": _INCIDENT_DEDUP,
        "types": _INCIDENT_TYPES,
        "api_url": Meaning("the endpoint, such as `https://api.eu.opsgenie.com/v2/alerts`"),
    },
    "apprise": {"url": Meaning("an [Apprise](channels.md#apprise) URL; needs the extra `apprise`")},
    "plugin": {
        "notifier": Meaning("the entry point in `certctl_mcp.notifiers` of another package"),
        "options": Meaning("options for that notifier", "none"),
    },
}
"""The meanings by kind of destination."""

NETWORK_MEANINGS: Mapping[str, Meaning] = {
    "proxy": Meaning(
        "an HTTP proxy, `http://user:password@host:port`, or `direct`", "`HTTPS_PROXY` and the like"
    ),
    "ca_file": Meaning("certificate authorities to trust (PEM)", "the system's"),
    "client_cert": Meaning("a client certificate and its chain (PEM)"),
    "client_key": Meaning("the certificate's private key (PEM)", "in the certificate's file"),
    "connect_timeout": Meaning("timeout for connecting, TLS included"),
}
"""The meanings of settings that every destination with its own network settings has."""

CHANNEL_MEANINGS: Mapping[str, Meaning] = {
    "fallback": Meaning(
        "the channel that takes over notifications that [died here](channels.md#fallbacks) because of this "
        "channel"
    ),
    "fallback_recipient": Meaning(
        "their recipient there; required if Email takes over from a channel of another kind", "their own"
    ),
    "concurrency": Meaning("attempts in flight; 0 for the value of `channel_concurrency`"),
    "rate": Meaning(
        f"attempts across all processes, such as `1/s` or `120/m`, or `{NO_LIMIT}`",
        "[what the provider documents](channels.md#limits)",
    ),
    "burst": Meaning("how many of them at once after a quiet time", "the provider's"),
    "sessions": Meaning("attempts in flight across all processes; 0 for any number", "the provider's"),
    "templates": Meaning("the [wording](channels.md#wording) by type", "none"),
}
"""The meanings of settings that every channel has."""

CONFIG_MEANING = Meaning("the settings file, as `--config`", "none")
"""The meaning of `CERTCTL_CONFIG`, which is not a setting."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting as the reference lists it."""

    key: Key
    meaning: Meaning
    field: FieldInfo

    @property
    def variable(self) -> str | None:
        """None for settings that can only be in the settings file."""
        return next((name for name, key in VARIABLES.items() if key == self.key), None)

    @property
    def of_every_channel(self) -> bool:
        """Whether it belongs to the channel rather than to its destination."""
        return len(self.key) == 3 and self.key[-1] in CHANNEL_MEANINGS

    @property
    def default(self) -> str:
        """In words, or as it is written in settings; empty if there is none."""
        if self.meaning.default is not None:
            return self.meaning.default
        return (
            "required"
            if self.field.is_required()
            else written(self.field.get_default(call_default_factory=False))
        )


def entries() -> Iterator[tuple[str, tuple[Entry, ...]]]:
    """The settings outside channels, by the title of their section."""
    for section in SECTIONS:
        yield (
            section.title,
            tuple(Entry(key, meaning, _field(key)) for key, meaning in section.settings.items()),
        )


def channel_entries(name: str, kind: str) -> tuple[Entry, ...]:
    """The settings of a channel of this name and kind of destination."""
    model = DESTINATIONS[kind]
    network = NETWORK_MEANINGS if issubclass(model, NetworkSettings) else {}
    own = {**DESTINATION_MEANINGS[kind], **network}
    return (
        *(Entry(("channels", name, key), said, model.model_fields[key]) for key, said in own.items()),
        *(
            Entry(("channels", name, key), said, Channel.model_fields[key])
            for key, said in CHANNEL_MEANINGS.items()
        ),
    )


def undocumented() -> set[str]:
    """The settings that are missing from the reference, and entries without a setting: always empty."""
    top = {
        str(field.validation_alias or name)
        for name, field in Settings.model_fields.items()
        if name not in (*TABLES, "named_channels")
    }
    fields = {(name,) for name in top} | {
        (table, name) for table, model in TABLES.items() for name in model.model_fields
    }
    documented = {key for section in SECTIONS for key in section.settings}
    found = {".".join(key) for key in fields ^ documented}
    for kind, model in DESTINATIONS.items():
        network = NETWORK_MEANINGS if issubclass(model, NetworkSettings) else {}
        said = {*DESTINATION_MEANINGS.get(kind, {}), *network}
        found |= {f"{kind}.{name}" for name in said ^ (model.model_fields.keys() - {"kind"})}
    return found | {f"channel.{name}" for name in CHANNEL_MEANINGS.keys() ^ set(CHANNEL_KEYS)}


def written(value: object) -> str:
    """A value as it is written in a variable; empty for None."""
    match value:
        case None | () | {}:
            return ""
        case bool():
            return "true" if value else "false"
        case timedelta():
            return format_duration(value)
        case tuple() | list():
            return ",".join(written(item) for item in value)
        case _:
            return str(value)


def _field(key: Key) -> FieldInfo:
    model: type[BaseModel] = Settings if len(key) == 1 else TABLES[key[0]]
    return model.model_fields[key[-1]]
