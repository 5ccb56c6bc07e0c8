"""certctl's own tables, with the columns that this program reads."""

from sqlalchemy import JSON, Text, column, table

from storage.sql.types import UtcDateTime

CERTIFICATES = "managed_certificates"

certificates = table(
    CERTIFICATES,
    column("id", Text),
    column("status", Text),
    column("expires_at", UtcDateTime),
    column("last_renewal_at", UtcDateTime),
    column("renewal_policy_id", Text),
    column("created_at", UtcDateTime),
)
agents = table("agents", column("last_heartbeat_at", UtcDateTime), column("retired_at", UtcDateTime))
jobs = table("jobs", column("status"), column("completed_at", UtcDateTime))
renewal_policies = table("renewal_policies", column("id", Text), column("alert_severity_map", JSON))
