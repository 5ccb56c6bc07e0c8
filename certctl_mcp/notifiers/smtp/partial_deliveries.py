"""Remembers which recipients already have a mail that its relay accepted for only some of them.

A notification is one row with one outcome, so a later attempt would go to all recipients again. This process
remembers those that were accepted. An attempt by another process, or after a restart, repeats the mail with
the same Message-ID, so that mail systems show it only once.
"""

from collections.abc import Iterable
from threading import Lock

_REMEMBERED = 1000


class PartialDeliveries:
    """The newest partly delivered notifications, up to a limit."""

    def __init__(self) -> None:
        self._accepted: dict[str, frozenset[str]] = {}
        # Some notifiers send from threads.
        self._lock = Lock()

    def remaining(self, notification_id: str, recipients: Iterable[str]) -> tuple[str, ...]:
        """Those of `recipients` that do not have the mail yet."""
        accepted = self._accepted.get(notification_id, frozenset())
        return tuple(address for address in recipients if address not in accepted)

    def record(self, notification_id: str, recipients: Iterable[str]) -> None:
        """Record that `recipients` have the mail and others do not."""
        with self._lock:
            earlier = self._accepted.pop(notification_id, frozenset())
            self._accepted[notification_id] = earlier.union(recipients)
            while len(self._accepted) > _REMEMBERED:
                del self._accepted[next(iter(self._accepted))]

    def forget(self, notification_id: str) -> None:
        """Forget a mail that all recipients have."""
        self._accepted.pop(notification_id, None)
