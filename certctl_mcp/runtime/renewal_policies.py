"""The tiers of certctl's renewal policies, read from its database when alerts are delivered from there."""

import logging
import time
from collections.abc import Mapping

from storage.alert_tiers import AlertTier
from storage.database import Database
from storage.errors import StorageError
from storage.models import Notification
from storage.queries.certctl_policies import Tiers, policy_of, tiers_by_policy

logger = logging.getLogger(__name__)

REFRESHED_AFTER = 60.0
"""Seconds."""


class RenewalPolicies:
    """Answers from a copy of the policies, which are few. If none of them names a tier, nothing else is
    read."""

    def __init__(self) -> None:
        self._database: Database | None = None
        self._tiers: Mapping[str, Tiers] = {}
        self._read_at: float | None = None

    def read_from(self, database: Database) -> None:
        """Use certctl's own database. Until this is called, no policy is known."""
        self._database = database

    async def tier(self, notification: Notification, threshold: int) -> AlertTier | None:
        """The tier of the threshold in the policy of the certificate; None if unknown. Never raises."""
        if self._database is None or notification.certificate_id is None:
            return None
        try:
            await self._refresh(self._database)
            if not self._tiers:
                return None
            policy = await self._database.read(policy_of, notification.certificate_id)
        except StorageError as failure:
            logger.warning("the renewal policies can't be read: %s", failure)
            return None
        return None if policy is None else self._tiers.get(policy, {}).get(threshold)

    async def _refresh(self, database: Database) -> None:
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at < REFRESHED_AFTER:
            return
        self._read_at = now
        self._tiers = await database.read(tiers_by_policy)
