"""Who has a mail already that its relay took for some of the recipients only?

A notification is one row with one outcome, so a later attempt would go to all of them again. What a relay
has accepted is remembered here, in this process: an attempt elsewhere, or after a restart, does repeat the
mail, with the same Message-ID, which mail systems use to show it once.
"""

from collections.abc import Iterable

_REMEMBERED = 1000


class PartialDeliveries:
    """The newest mails with recipients still open, up to a bound."""

    def __init__(self) -> None:
        self._accepted: dict[str, frozenset[str]] = {}

    def open(self, notification_id: str, recipients: Iterable[str]) -> tuple[str, ...]:
        """Those of `recipients` who do not have the mail."""
        accepted = self._accepted.get(notification_id, frozenset())
        return tuple(address for address in recipients if address not in accepted)

    def accepted(self, notification_id: str, recipients: Iterable[str]) -> None:
        """Remember that `recipients` have the mail and others do not."""
        earlier = self._accepted.pop(notification_id, frozenset())
        self._accepted[notification_id] = earlier.union(recipients)
        while len(self._accepted) > _REMEMBERED:
            del self._accepted[next(iter(self._accepted))]

    def complete(self, notification_id: str) -> None:
        """Forget a mail that everyone has."""
        self._accepted.pop(notification_id, None)
