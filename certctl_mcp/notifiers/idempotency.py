"""The key by which a receiver recognises a notification that it already has."""

import hashlib
import re

from certctl_mcp.config.incidents import Dedup
from storage.models import Notification

# This fits a header, a Message-ID, and the shortest limit among the receivers (255 characters at PagerDuty).
_PLAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_LONGEST = 200


def idempotency_key(notification: Notification) -> str:
    """The same key for every attempt: the id, or a digest of an id that a receiver might not accept.

    Ids from other programs are arbitrary text; a line break in one must not become a header.
    """
    return _plain_key(notification.id, "notif-", notification.id)


def incident_key(notification: Notification, dedup: Dedup) -> str:
    """The key by which an on-call provider recognises an incident: that of the notification, or of its
    certificate."""
    certificate_id = notification.certificate_id
    if dedup == "certificate" and certificate_id is not None:
        return _plain_key(f"certificate-{certificate_id}", "certificate-", certificate_id)
    return idempotency_key(notification)


def _plain_key(key: str, prefix: str, id_: str) -> str:
    if len(key) <= _LONGEST and _PLAIN.fullmatch(key):
        return key
    return prefix + hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
