"""The tiers that certctl's renewal policies assign to the thresholds of alerts."""

from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from storage.alert_tiers import AlertTier
from storage.schema.certctl_tables import certificates, renewal_policies

Tiers = Mapping[int, AlertTier]
"""By threshold, in days."""

MAX_POLICIES = 1000

_p = renewal_policies.c
_c = certificates.c


def tiers_by_policy(connection: Connection) -> Mapping[str, Tiers]:
    """The policies that name tiers, by their id. Early versions of certctl have no such column."""
    query = select(_p.id, _p.alert_severity_map).limit(MAX_POLICIES)
    try:
        found = [(row.id, _tiers(row.alert_severity_map)) for row in connection.execute(query)]
    except DBAPIError:
        return {}
    return {policy: tiers for policy, tiers in found if tiers}


def policy_of(connection: Connection, certificate_id: str) -> str | None:
    """The renewal policy of a certificate."""
    query = select(_c.renewal_policy_id).where(_c.id == certificate_id)
    try:
        found: str | None = connection.execute(query).scalar()
    except DBAPIError:
        return None
    return found


def _tiers(written: object) -> Tiers:
    """Entries that aren't a threshold with a tier are ignored, as in certctl."""
    if not isinstance(written, dict):
        return {}
    known = {tier.value: tier for tier in AlertTier}
    return {
        int(threshold): known[tier]
        for threshold, tier in written.items()
        if str(threshold).lstrip("-").isdecimal() and tier in known
    }
