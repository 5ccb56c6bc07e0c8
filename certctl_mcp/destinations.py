"""Where may notifications go? One model for each kind of destination an operator can configure.

Only these are ever sent to: an assistant picks among channel names, never a URL or a host.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, NonNegativeInt, SecretStr, model_validator


class _Destination(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EmailDestination(_Destination):
    """An SMTP relay. The recipient of each notification is one address or several, separated by commas."""

    kind: Literal["email"] = "email"
    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    from_address: str = Field(min_length=3)
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` speaks TLS from the first byte (port 465)."""
    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    html: bool = True
    """Send a simple HTML form of the text beside it."""

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> "EmailDestination":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: set both or neither")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is not sent over an unencrypted connection: use starttls or tls")
        return self


class WebhookDestination(_Destination):
    """An HTTP receiver of JSON bodies, signed by the Standard Webhooks specification when secrets are set."""

    kind: Literal["webhook"] = "webhook"
    url: SecretStr
    secrets: tuple[SecretStr, ...] = ()
    """`whsec_` and base64, or any other text; while rotating, every secret signs."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)


class SlackDestination(_Destination):
    """A Slack incoming webhook."""

    kind: Literal["slack"] = "slack"
    webhook_url: SecretStr
    channel: str | None = None
    username: str | None = None


class TeamsDestination(_Destination):
    """A Microsoft Teams Workflows webhook."""

    kind: Literal["teams"] = "teams"
    webhook_url: SecretStr


class PagerDutyDestination(_Destination):
    """A PagerDuty service, by its Events API v2 routing key."""

    kind: Literal["pagerduty"] = "pagerduty"
    routing_key: SecretStr
    severity: Literal["critical", "error", "warning", "info"] = "warning"
    api_url: HttpUrl = HttpUrl("https://events.pagerduty.com/v2/enqueue")


class OpsGenieDestination(_Destination):
    """An OpsGenie account, by an Alert API key."""

    kind: Literal["opsgenie"] = "opsgenie"
    api_key: SecretStr
    priority: Literal["P1", "P2", "P3", "P4", "P5"] = "P3"
    api_url: HttpUrl = HttpUrl("https://api.opsgenie.com/v2/alerts")


class AppriseDestination(_Destination):
    """Any service Apprise knows, by its URL. Needs the extra `apprise`."""

    kind: Literal["apprise"] = "apprise"
    url: SecretStr


class PluginDestination(_Destination):
    """A notifier from another package, by the name of its entry point in `certctl_mcp.notifiers`."""

    kind: Literal["plugin"] = "plugin"
    notifier: str = Field(min_length=1)
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)


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


class Channel(_Destination):
    """A name that notifications are addressed to, and where they then go."""

    name: str = Field(min_length=1, max_length=255)
    destination: Destination
    concurrency: NonNegativeInt = 0
    """Attempts under way at once; 0 takes the setting for all channels."""
