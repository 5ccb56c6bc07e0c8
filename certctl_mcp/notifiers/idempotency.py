"""The key by which a receiver recognises a notification that it already has."""

import hashlib
import re

from storage.models import Notification

# Fits a header, a Message-ID, and the shortest limit among the receivers (255 characters at PagerDuty).
_PLAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_LONGEST = 200


def idempotency_key(notification: Notification) -> str:
    """The same for every attempt: the id, or a digest of an id that a receiver could not take.

    Ids from elsewhere are arbitrary text; a line break in one must not become a header.
    """
    if len(notification.id) <= _LONGEST and _PLAIN.fullmatch(notification.id):
        return notification.id
    return "notif-" + hashlib.sha256(notification.id.encode("utf-8", "surrogatepass")).hexdigest()
