"""The parts of certctl's PostgreSQL schema that concern us, with the names and types of its migrations."""

TABLES = (
    """
    CREATE TABLE managed_certificates (
      id TEXT PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE,
      status VARCHAR(50) NOT NULL DEFAULT 'pending',
      expires_at TIMESTAMPTZ, last_renewal_at TIMESTAMPTZ, created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
      renewal_policy_id TEXT
    )
    """,
    "CREATE TABLE renewal_policies (id TEXT PRIMARY KEY, alert_severity_map JSONB NOT NULL DEFAULT '{}')",
    "CREATE TABLE agents (id TEXT PRIMARY KEY, last_heartbeat_at TIMESTAMPTZ, retired_at TIMESTAMPTZ)",
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, status VARCHAR(50) NOT NULL DEFAULT 'pending')",
    """
    CREATE TABLE notification_events (
      id TEXT PRIMARY KEY, type VARCHAR(255) NOT NULL,
      certificate_id TEXT REFERENCES managed_certificates(id) ON DELETE CASCADE,
      channel VARCHAR(255) NOT NULL, recipient VARCHAR(255) NOT NULL, message TEXT NOT NULL,
      sent_at TIMESTAMPTZ, status VARCHAR(50) NOT NULL DEFAULT 'pending', error TEXT
    )
    """,
    "CREATE INDEX idx_notification_events_certificate_id ON notification_events (certificate_id)",
    "CREATE INDEX idx_notification_events_status ON notification_events (status)",
    "CREATE INDEX idx_notification_events_type ON notification_events (type)",
)
RETRIES = (
    "ALTER TABLE notification_events ADD COLUMN retry_count INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE notification_events ADD COLUMN next_retry_at TIMESTAMPTZ",
    "ALTER TABLE notification_events ADD COLUMN last_error TEXT",
    """
    CREATE INDEX idx_notification_events_retry_sweep ON notification_events (next_retry_at)
    WHERE status = 'failed' AND next_retry_at IS NOT NULL
    """,
)
CREATED_AT = ("ALTER TABLE notification_events ADD COLUMN created_at TIMESTAMPTZ NOT NULL DEFAULT now()",)

NEWEST = (*TABLES, *RETRIES, *CREATED_AT)

ROWS = (
    """
    INSERT INTO managed_certificates VALUES
      ('mc-soon', 'api', 'Active', now() + interval '3 days'),
      ('mc-late', 'web', 'Active', now() - interval '1 day'),
      ('mc-fine', 'mail', 'Active', now() + interval '90 days'), ('mc-gone', 'old', 'Revoked', now())
    """,
    """
    INSERT INTO agents VALUES
      ('a-1', now(), NULL), ('a-2', now() - interval '1 hour', NULL), ('a-3', NULL, NULL),
      ('a-retired', now(), now())
    """,
    "INSERT INTO jobs VALUES ('j-1', 'Running'), ('j-2', 'Failed'), ('j-3', 'Completed')",
    # certctl's server writes Go's zero time for a missing time.
    """
    INSERT INTO notification_events
      (id, type, certificate_id, channel, recipient, message, status, sent_at) VALUES
      ('n-waiting', 'ExpirationWarning', 'mc-soon', 'Webhook', 'on-call', 'expires soon', 'pending', NULL),
      ('n-failed', 'RenewalFailure', NULL, 'Webhook', 'on-call', 'failed', 'failed', '0001-01-01Z'),
      ('n-sent', 'Revocation', 'mc-gone', 'Webhook', 'on-call', 'revoked', 'sent', '2025-12-24Z'),
      ('n-dead', 'DeploymentFailure', 'mc-late', 'Slack', '#ops', 'rolled back', 'dead', '0001-01-01Z')
    """,
)
