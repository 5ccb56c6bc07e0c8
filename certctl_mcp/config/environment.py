"""The environment variables and the setting that each one sets. Where certctl has a variable, its name is
used."""

from collections.abc import Collection, Mapping

from certctl_mcp.config.network import NetworkSettings

Table = dict[str, object]
"""Settings as they are written: a TOML table, or variables in the same shape."""

COMMAND_VARIABLES = ("CERTCTL_COPY_FROM", "CERTCTL_COPY_TO")
"""Variables that commands read; they are not settings."""

CONFIG_VARIABLE = "CERTCTL_CONFIG"

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "CERTCTL_DATABASE_URL": ("database_url",),
    "CERTCTL_DATABASE_MIGRATE": ("database_migrate",),
    "CERTCTL_PUBLIC_URL": ("public_url",),
    "CERTCTL_LOG_LEVEL": ("log_level",),
    "CERTCTL_LOG_FORMAT": ("log_format",),
    "CERTCTL_MCP_READ_ONLY": ("read_only",),
    "CERTCTL_MCP_TOOLS": ("tools",),
    "CERTCTL_MCP_EXCLUDE": ("exclude",),
    "CERTCTL_MCP_ELICITATION": ("elicitation",),
    "CERTCTL_NOTIFICATION_DELIVER": ("deliver",),
    "CERTCTL_NOTIFICATION_RESCUE_GRACE": ("rescue_grace",),
    "CERTCTL_NOTIFICATION_RETRY_INTERVAL": ("retry_interval",),
    "CERTCTL_NOTIFICATION_MAX_ATTEMPTS": ("max_attempts",),
    "CERTCTL_NOTIFICATION_BACKOFF_BASE": ("backoff_base",),
    "CERTCTL_NOTIFICATION_BACKOFF_CAP": ("backoff_cap",),
    "CERTCTL_NOTIFICATION_RETRY_JITTER": ("retry_jitter",),
    "CERTCTL_NOTIFICATION_MISSING_NOTIFIER": ("missing_notifier",),
    "CERTCTL_NOTIFICATION_MISSING_NOTIFIER_AFTER": ("missing_notifier_after",),
    "CERTCTL_NOTIFICATION_OUTAGE_HOLD": ("outage_hold",),
    "CERTCTL_NOTIFICATION_SEND_TIMEOUT": ("send_timeout",),
    "CERTCTL_NOTIFICATION_LEASE": ("lease",),
    "CERTCTL_NOTIFICATION_CONCURRENCY": ("concurrency",),
    "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": ("channel_concurrency",),
    "CERTCTL_NOTIFICATION_SHUTDOWN_GRACE": ("shutdown_grace",),
    "CERTCTL_NOTIFICATION_DEAD_LETTERS_ALERT": ("dead_letters", "alert"),
    "CERTCTL_NOTIFICATION_DEAD_LETTERS_RECIPIENT": ("dead_letters", "recipient"),
    "CERTCTL_NOTIFICATION_DEAD_LETTERS_WINDOW": ("dead_letters", "window"),
    "CERTCTL_NOTIFICATION_RETENTION_SENT": ("retention", "sent"),
    "CERTCTL_NOTIFICATION_RETENTION_READ": ("retention", "read"),
    "CERTCTL_NOTIFICATION_RETENTION_DEAD": ("retention", "dead"),
    "CERTCTL_NOTIFICATION_RETENTION_AUDIT": ("retention", "audit"),
    "CERTCTL_SERVER_HOST": ("http", "host"),
    "CERTCTL_SERVER_PORT": ("http", "port"),
    "CERTCTL_SERVER_TLS_CERT_PATH": ("http", "tls_cert"),
    "CERTCTL_SERVER_TLS_KEY_PATH": ("http", "tls_key"),
    "CERTCTL_SERVER_ALLOWED_HOSTS": ("http", "allowed_hosts"),
    "CERTCTL_SERVER_TRUSTED_PROXIES": ("http", "trusted_proxies"),
    "CERTCTL_API_KEYS_NAMED": ("http", "api_keys_named"),
    "CERTCTL_AUTH_SECRET": ("http", "auth_secret"),
    "CERTCTL_CORS_ORIGINS": ("http", "allowed_origins"),
    "CERTCTL_MAX_BODY_SIZE": ("http", "max_body_size"),
    "CERTCTL_RATE_LIMIT_ENABLED": ("http", "rate_limit_enabled"),
    "CERTCTL_RATE_LIMIT_RPS": ("http", "rate_limit_rps"),
    "CERTCTL_RATE_LIMIT_BURST": ("http", "rate_limit_burst"),
    "CERTCTL_OAUTH_ISSUER": ("http", "oauth_issuer"),
    "CERTCTL_OAUTH_RESOURCE": ("http", "oauth_resource"),
    "CERTCTL_OAUTH_JWKS_URL": ("http", "oauth_jwks_url"),
    "CERTCTL_SMTP_HOST": ("channels", "Email", "host"),
    "CERTCTL_SMTP_PORT": ("channels", "Email", "port"),
    "CERTCTL_SMTP_USERNAME": ("channels", "Email", "username"),
    "CERTCTL_SMTP_PASSWORD": ("channels", "Email", "password"),
    "CERTCTL_SMTP_FROM_ADDRESS": ("channels", "Email", "from_address"),
    "CERTCTL_SMTP_USE_TLS": ("channels", "Email", "security"),
    "CERTCTL_WEBHOOK_URL": ("channels", "Webhook", "url"),
    "CERTCTL_WEBHOOK_SECRET": ("channels", "Webhook", "secrets"),
    "CERTCTL_WEBHOOK_FORMAT": ("channels", "Webhook", "format"),
    "CERTCTL_SLACK_WEBHOOK_URL": ("channels", "Slack", "webhook_url"),
    "CERTCTL_SLACK_CHANNEL": ("channels", "Slack", "channel"),
    "CERTCTL_SLACK_USERNAME": ("channels", "Slack", "username"),
    "CERTCTL_TEAMS_WEBHOOK_URL": ("channels", "Teams", "webhook_url"),
    "CERTCTL_PAGERDUTY_ROUTING_KEY": ("channels", "PagerDuty", "routing_key"),
    "CERTCTL_PAGERDUTY_SEVERITY": ("channels", "PagerDuty", "severity"),
    "CERTCTL_PAGERDUTY_DEDUP": ("channels", "PagerDuty", "dedup"),
    "CERTCTL_OPSGENIE_DEDUP": ("channels", "OpsGenie", "dedup"),
    "CERTCTL_PAGERDUTY_API_URL": ("channels", "PagerDuty", "api_url"),
    "CERTCTL_OPSGENIE_API_KEY": ("channels", "OpsGenie", "api_key"),
    "CERTCTL_OPSGENIE_PRIORITY": ("channels", "OpsGenie", "priority"),
    "CERTCTL_OPSGENIE_API_URL": ("channels", "OpsGenie", "api_url"),
    "CERTCTL_SMTP_RECIPIENTS": ("channels", "Email", "recipients"),
    "CERTCTL_SMTP_EHLO_NAME": ("channels", "Email", "ehlo_name"),
    "CERTCTL_SMTP_DATA_TIMEOUT": ("channels", "Email", "data_timeout"),
    **{
        f"CERTCTL_{prefix}_{setting.upper()}": ("channels", channel, setting)
        for prefix, channel in (
            ("SMTP", "Email"),
            ("WEBHOOK", "Webhook"),
            ("SLACK", "Slack"),
            ("TEAMS", "Teams"),
            ("PAGERDUTY", "PagerDuty"),
            ("OPSGENIE", "OpsGenie"),
        )
        for setting in (*NetworkSettings.model_fields, "fallback", "fallback_recipient")
    },
}

# Deployments set these to their defaults without wanting the channel, so they only refine a channel that is
# already configured.
_REFINEMENTS = frozenset(
    {
        "port",
        "security",
        "severity",
        "priority",
        "api_url",
        "ehlo_name",
        "data_timeout",
        "dedup",
        "format",
        "recipients",
        "fallback",
        "fallback_recipient",
    }
).union(NetworkSettings.model_fields)


def read_environment(environ: Mapping[str, str], configured: Collection[str]) -> Table:
    """The settings in `environ`, in the shape of a settings file. A blank variable counts as unset.

    `configured`: the channels from another source, which a variable may refine.
    """
    settings: Table = {}
    channels: dict[str, Table] = {}
    tables: dict[str, Table] = {}
    for variable, path in VARIABLES.items():
        value = environ.get(variable, "")
        if not value.strip():
            continue
        match path:
            case ("channels", channel, "secrets"):
                channels.setdefault(channel, {})["secrets"] = [
                    line for line in value.splitlines() if line.strip()
                ]
            case ("channels", channel, setting):
                channels.setdefault(channel, {})[setting] = value
            case (table, setting):
                tables.setdefault(table, {})[setting] = value
            case (setting,):
                settings[setting] = value
    meant = {
        name: table
        for name, table in channels.items()
        if name in configured or not table.keys() <= _REFINEMENTS
    }
    if meant:
        settings["channels"] = meant
    return settings | tables
