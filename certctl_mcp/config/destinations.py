"""Destinations of notifications, a model for each kind that an operator can configure.

Nothing is ever sent anywhere else: an assistant chooses among channel names, never a URL or a host.
"""

import base64
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, NonNegativeInt, SecretStr, model_validator

from certctl_mcp.config.channel_limits import DOCUMENTED, ChannelLimits, SendInterval
from certctl_mcp.config.destination_types import (
    AppriseUrl,
    HeaderName,
    HeaderValue,
    HostName,
    HttpUrlSecret,
    Key,
    MailAddress,
    RecipientPatterns,
    Security,
    SigningSecret,
    signing_key,
)
from certctl_mcp.config.durations import Duration
from certctl_mcp.config.incidents import Dedup, IncidentRule, Priority, Severity
from certctl_mcp.config.message_templates import MessageTemplate
from certctl_mcp.config.network import NetworkSettings
from certctl_mcp.config.proxies import environment_proxy
from certctl_mcp.text.redaction import url_secrets

_SECRET_OPTION = re.compile(r"pass|secret|token|key|auth|credential", re.IGNORECASE)
"""Whether an option is a secret is judged by its name, because another package defines its meaning."""


class _Configured(BaseModel):
    # A wrong URL or password must not appear in the error message.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Destination(_Configured):
    @property
    @abstractmethod
    def description(self) -> str:
        """The kind and the host, without secrets, for assistants and logs."""

    @property
    @abstractmethod
    def confidential(self) -> tuple[str, ...]:
        """Every text that must not appear in an error message."""


class NetworkDestination(NetworkSettings, _Destination):
    """A destination reached over this program's own connections."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The URL to connect to; it may contain secrets."""


class EmailDestination(NetworkDestination):
    """An SMTP relay. The recipient of each notification is one address or several, separated by commas."""

    kind: Literal["email"] = "email"
    host: HostName
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    from_address: MailAddress
    security: Security = Field(default=True, validate_default=True)
    """`tls` is TLS from the first byte. True, the default, means the usual one for the port: `tls` on 465,
    otherwise `starttls`. False means `none`."""
    recipients: RecipientPatterns = ()
    """The addresses that mail may go to, such as `*@example.com`. If there are none, an assistant may send
    mail only to the sender's own domain, and other callers to any address."""
    ehlo_name: HostName | None = None
    """The name in the greeting to the relay. None: this host's full name, or else its address."""
    data_timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=10))] = timedelta(minutes=2)
    """How long the relay may take to respond after receiving the mail."""
    html: bool = True
    """Whether to send a simple HTML version beside the text."""

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> "EmailDestination":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: set both or neither")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is only sent encrypted: security must be starttls or tls")
        return self

    @property
    def address(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    @property
    def description(self) -> str:
        protection = {"starttls": "STARTTLS", "tls": "TLS", "none": "not encrypted"}[self.security]
        return f"SMTP relay {self.host}:{self.port} ({protection})"

    @property
    def confidential(self) -> tuple[str, ...]:
        if self.username is None or self.password is None:
            return self.network_secrets
        password = self.password.get_secret_value()
        # AUTH PLAIN and LOGIN, as a server may repeat them.
        return (
            password,
            *_encoded(f"\0{self.username}\0{password}"),
            *_encoded(password),
            *self.network_secrets,
        )


class WebhookDestination(NetworkDestination):
    """An HTTP receiver of JSON bodies, signed when secrets are set."""

    kind: Literal["webhook"] = "webhook"
    url: HttpUrlSecret
    format: Literal["standard", "certctl"] = "standard"
    """The body and the signature: as the Standard Webhooks specification defines them, or as certctl's server
    sends them."""
    secrets: tuple[SigningSecret, ...] = ()
    """In the formats of Standard Webhooks libraries: base64, with or without `whsec_`; any other text is used
    as it is. Every secret signs, so that secrets can be rotated. certctl's format has one signature, by the
    secret's own bytes."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    success_status: tuple[Annotated[int, Field(ge=200, le=299)], ...] = ()
    """The statuses that mean success; if empty, every 2xx status."""
    success_json: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Fields that the response, a JSON object, must have with these values to count as success."""

    @model_validator(mode="after")
    def _credentials_are_in_one_place(self) -> "WebhookDestination":
        in_headers = any(name.lower() == "authorization" for name in self.headers)
        if in_headers and urlsplit(self.url.get_secret_value()).username is not None:
            raise ValueError("give the credentials in url or in headers, not in both")
        return self

    @model_validator(mode="after")
    def _fits_certctls_format(self) -> "WebhookDestination":
        if self.format != "certctl":
            return self
        if len(self.secrets) > 1:
            raise ValueError("certctl's format has one signature: give one secret")
        for name in self.headers:
            if name.lower().startswith("x-signature"):
                raise ValueError(f"{name} is set by the notifier itself")
        return self

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        return tuple(signing_key(secret.get_secret_value()) for secret in self.secrets)

    @property
    def address(self) -> str:
        return self.url.get_secret_value()

    @property
    def description(self) -> str:
        signed = "signed" if self.secrets else "not signed"
        form = ", certctl's format" if self.format == "certctl" else ""
        return f"webhook at {_host_and_port(self.url)} ({signed}{form})"

    @property
    def confidential(self) -> tuple[str, ...]:
        signing = [secret.get_secret_value() for secret in self.secrets]
        headers = [
            form for value in self.headers.values() for form in _header_forms(value.get_secret_value())
        ]
        return (*_url_secrets(self.url), *signing, *headers, *self.network_secrets)


class SlackDestination(NetworkDestination):
    """A Slack incoming webhook."""

    kind: Literal["slack"] = "slack"
    webhook_url: HttpUrlSecret
    channel: str | None = None
    """Overrides the webhook's own channel, where Slack still allows it."""
    username: str | None = None
    """Shown as the sender, where Slack still allows it."""

    @property
    def address(self) -> str:
        return self.webhook_url.get_secret_value()

    @property
    def description(self) -> str:
        return f"Slack incoming webhook at {_host_and_port(self.webhook_url)}"

    @property
    def confidential(self) -> tuple[str, ...]:
        return (*_url_secrets(self.webhook_url), *self.network_secrets)


class TeamsDestination(NetworkDestination):
    """A Microsoft Teams Workflows webhook."""

    kind: Literal["teams"] = "teams"
    webhook_url: HttpUrlSecret

    @property
    def address(self) -> str:
        return self.webhook_url.get_secret_value()

    @property
    def description(self) -> str:
        return f"Teams Workflows webhook at {_host_and_port(self.webhook_url)}"

    @property
    def confidential(self) -> tuple[str, ...]:
        return (*_url_secrets(self.webhook_url), *self.network_secrets)


class PagerDutyDestination(NetworkDestination):
    """A PagerDuty service, by its Events API v2 routing key."""

    kind: Literal["pagerduty"] = "pagerduty"
    routing_key: Key
    severity: Severity = "warning"
    dedup: Dedup = "notification"
    types: dict[str, IncidentRule] = Field(default_factory=dict)
    """By type of notification; successes resolve, everything else triggers, with the channel's severity."""
    api_url: HttpUrl = HttpUrl("https://events.pagerduty.com/v2/enqueue")

    @property
    def address(self) -> str:
        return str(self.api_url)

    @property
    def description(self) -> str:
        return f"PagerDuty service at {_host_and_port(self.api_url)} (severity {self.severity})"

    @property
    def confidential(self) -> tuple[str, ...]:
        return (self.routing_key.get_secret_value(), *self.network_secrets)


class OpsGenieDestination(NetworkDestination):
    """An OpsGenie account, by an Alert API key."""

    kind: Literal["opsgenie"] = "opsgenie"
    api_key: Key
    priority: Priority = "P3"
    dedup: Dedup = "notification"
    types: dict[str, IncidentRule] = Field(default_factory=dict)
    """By type of notification; successes close, everything else opens, with the channel's priority."""
    api_url: HttpUrl = HttpUrl("https://api.opsgenie.com/v2/alerts")

    @property
    def address(self) -> str:
        return str(self.api_url)

    @property
    def description(self) -> str:
        return f"OpsGenie account at {_host_and_port(self.api_url)} (priority {self.priority})"

    @property
    def confidential(self) -> tuple[str, ...]:
        return (self.api_key.get_secret_value(), *self.network_secrets)


class AppriseDestination(NetworkSettings, _Destination):
    """Any service that Apprise supports, by its URL. Needs the extra `apprise`.

    Without a proxy setting, Apprise itself follows the proxy variables.
    """

    kind: Literal["apprise"] = "apprise"
    url: AppriseUrl

    @property
    def description(self) -> str:
        scheme = self.url.get_secret_value().partition("://")[0]
        return f"Apprise service ({scheme})"

    @property
    def confidential(self) -> tuple[str, ...]:
        url = self.url.get_secret_value()
        # Apprise puts tokens anywhere in a URL, even in place of the host.
        parts = re.split(r"[/:@?&=]+", url.partition("://")[2])
        return (*_url_secrets(self.url), *parts, *self.network_secrets)


class PluginDestination(_Destination):
    """A notifier from another package, by the name of its entry point in `certctl_mcp.notifiers`."""

    kind: Literal["plugin"] = "plugin"
    notifier: str = Field(min_length=1)
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def description(self) -> str:
        return f"notifier {self.notifier!r} of another package"

    @property
    def confidential(self) -> tuple[str, ...]:
        values = ((name, value) for name, value in self.options.items() if isinstance(value, str))
        return tuple(
            part
            for name, value in values
            if _SECRET_OPTION.search(name) or "://" in value
            for part in (value, *url_secrets(value))
        )


Destination = Annotated[
    EmailDestination
    | WebhookDestination
    | SlackDestination
    | TeamsDestination
    | PagerDutyDestination
    | OpsGenieDestination
    | AppriseDestination
    | PluginDestination,
    Field(discriminator="kind"),
]


class Channel(_Configured):
    """A name that notifications are addressed to, and where they then go."""

    name: str = Field(min_length=1, max_length=255)
    destination: Destination
    concurrency: NonNegativeInt = 0
    """The most attempts in flight; 0 means the setting for all channels."""
    rate: SendInterval | None = None
    """The time between two attempts, over all processes: written `1/s`, `120/m` or `unlimited`. None: what
    the provider documents."""
    burst: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many attempts may begin at once after a quiet period."""
    sessions: Annotated[int, Field(ge=0, le=1000)] | None = None
    """The most attempts in flight, over all processes; 0 means any number. None: the kind's default."""
    templates: dict[str, MessageTemplate] = Field(default_factory=dict)
    """The wording by type of notification, with `default` for all others."""
    fallback: str | None = Field(default=None, min_length=1, max_length=255)
    """The channel that takes over notifications that became dead letters here because of this channel."""
    fallback_recipient: str = Field(default="", max_length=255)
    """Their recipient there; empty keeps their own."""

    @property
    def limits(self) -> ChannelLimits:
        """The limits of this channel, across all processes."""
        documented = DOCUMENTED.get(self.destination.kind, ChannelLimits())
        return documented.with_settings(self.rate, self.burst, self.sessions)

    def with_environment_proxy(self, environ: Mapping[str, str]) -> "Channel":
        """The channel, with the proxy from the proxy variables if its settings have none.

        Raises:
            UnusableProxyError: we can't speak to that proxy.
        """
        if not isinstance(self.destination, NetworkDestination) or self.destination.proxy is not None:
            return self
        proxy = environment_proxy(environ, self.destination.address)
        if proxy is None:
            return self
        destination = self.destination.model_copy(update={"proxy": proxy})
        return self.model_copy(update={"destination": destination})

    def longest_attempt(self, send_timeout: timedelta) -> timedelta:
        """The longest that an attempt over this channel takes, if attempts over other channels are limited to
        `send_timeout`."""
        if isinstance(self.destination, EmailDestination):
            return send_timeout + max(send_timeout, self.destination.data_timeout) + timedelta(seconds=1)
        if isinstance(self.destination, AppriseDestination):
            own = "connect_timeout" in self.destination.model_fields_set
            connecting = self.destination.connect_timeout if own else timedelta(0)
            return send_timeout + timedelta(seconds=15) + connecting
        return send_timeout


def _url_secrets(url: SecretStr) -> tuple[str, ...]:
    """The secret parts of a webhook's URL. Its credentials are included also in the form of an Authorization
    header."""
    text = url.get_secret_value()
    credentials = urlsplit(text).netloc.rpartition("@")[0]
    return (*url_secrets(text), *(_encoded(unquote(credentials)) if credentials else ()))


def _header_forms(value: str) -> Iterator[str]:
    """A header such as `Authorization: Basic ...`, also without its scheme, and decoded."""
    yield value
    scheme, _, credentials = value.partition(" ")
    if not credentials.strip():
        return
    yield credentials.strip()
    yield credentials.strip().rstrip("=")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            decoded = base64.b64decode(credentials).decode()
            yield decoded
            yield decoded.partition(":")[2]


def _encoded(secret: str) -> tuple[str, str]:
    """The text in base64, as in a header or a login, with and without padding."""
    encoded = base64.b64encode(secret.encode()).decode()
    return encoded, encoded.rstrip("=")


def _host_and_port(url: SecretStr | HttpUrl) -> str:
    """The host, and the port if the URL has one: the parts of a webhook's URL that are not secret."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else str(url)
    return urlsplit(text).netloc.rpartition("@")[2]
