"""The settings that a host asks its user for, as the registry's `server.json` and the bundle offer them.

There are only a few; all others can be set in a settings file.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Option:
    """One environment variable of the server. All of them are optional."""

    variable: str
    title: str
    description: str
    kind: Literal["text", "file", "switch"] = "text"
    secret: bool = False

    @property
    def key(self) -> str:
        """The name of the option among those of the bundle."""
        return self.variable.removeprefix("CERTCTL_").lower()


OPTIONS = (
    Option(
        "CERTCTL_CONFIG",
        "Settings file",
        "A TOML file with channels and other settings. The options below override it.",
        kind="file",
    ),
    Option(
        "CERTCTL_SLACK_WEBHOOK_URL",
        "Slack webhook URL",
        "Delivers alerts for the channel Slack.",
        secret=True,
    ),
    Option(
        "CERTCTL_TEAMS_WEBHOOK_URL",
        "Microsoft Teams webhook URL",
        "Delivers alerts for the channel Teams.",
        secret=True,
    ),
    Option(
        "CERTCTL_PAGERDUTY_ROUTING_KEY",
        "PagerDuty routing key",
        "Delivers alerts for the channel PagerDuty.",
        secret=True,
    ),
    Option(
        "CERTCTL_OPSGENIE_API_KEY",
        "OpsGenie API key",
        "Delivers alerts for the channel OpsGenie.",
        secret=True,
    ),
    Option(
        "CERTCTL_WEBHOOK_URL",
        "Webhook URL",
        "Delivers alerts for the channel Webhook, as signed JSON if there is a signing secret.",
        secret=True,
    ),
    Option(
        "CERTCTL_WEBHOOK_SECRET",
        "Webhook signing secret",
        "Signs each webhook as Standard Webhooks describe.",
        secret=True,
    ),
    Option("CERTCTL_SMTP_HOST", "Mail server", "The host that delivers alerts for the channel Email."),
    Option("CERTCTL_SMTP_PORT", "Mail server port", "587 if empty."),
    Option("CERTCTL_SMTP_USERNAME", "Mail user name", "Empty for a mail server without a login."),
    Option("CERTCTL_SMTP_PASSWORD", "Mail password", "The password for the mail server.", secret=True),
    Option("CERTCTL_SMTP_FROM_ADDRESS", "Mail sender", "The address that alerts are sent from."),
    Option(
        "CERTCTL_SMTP_RECIPIENTS",
        "Mail recipients",
        "The addresses that may get mail, such as *@example.com, separated by commas. "
        "If empty: the sender's own domain.",
    ),
    Option(
        "CERTCTL_DATABASE_URL",
        "Database URL",
        "A SQLite file or a PostgreSQL database to share the queue with others. "
        "If empty: a file in the user's data directory.",
        secret=True,
    ),
    Option("CERTCTL_MCP_READ_ONLY", "Read-only", "Offers only the tools that change nothing.", kind="switch"),
)
