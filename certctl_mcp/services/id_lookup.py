"""Finds the notification that an id means, whether it is complete, shortened or misspelt."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from certctl_mcp.services.errors import AmbiguousIdError
from certctl_mcp.services.ids import may_be_shortened
from certctl_mcp.services.suggestions import LONGEST, nearest_id
from storage.errors import NotificationNotFoundError
from storage.models import Notification

if TYPE_CHECKING:
    from storage.reader import NotificationReader

SHORTEST_PART = 4
"""The fewest characters that can abbreviate an id."""

MAX_CANDIDATES = 5

MAX_STATES = 500
"""The most ids that are looked up at once."""

MAX_SUGGESTIONS = 20
"""The most unknown ids for which another is suggested, because each costs a query."""


class IdLookup:
    """All methods let `StorageError` pass through."""

    def __init__(self, repository: "NotificationReader") -> None:
        self._repository = repository

    async def apply(
        self, step: Callable[[str], Awaitable[Notification]], notification_id: str
    ) -> Notification:
        """The result of `step` for the id, or for the only id that it abbreviates.

        Raises:
            NotificationNotFoundError: there is no such notification; it suggests the id that was meant.
            AmbiguousIdError: it abbreviates several.
        """
        try:
            return await step(notification_id)
        except NotificationNotFoundError:
            short = may_be_shortened(notification_id)
            full = await self.complete(notification_id) if short else notification_id
            if full == notification_id:
                raise await self.not_found(notification_id) from None
            return await step(full)

    async def complete(self, given: str) -> str:
        """The only id that is, begins with or ends with `given`.

        An id that nothing matches is returned unchanged, to be refused where it is used.

        Raises:
            AmbiguousIdError: several match.
        """
        if await self._repository.states((given,)) or len(given) < SHORTEST_PART:
            return given
        beginning = await self._repository.ids_beginning(given, MAX_CANDIDATES)
        ending = await self._repository.ids_ending(given, MAX_CANDIDATES)
        candidates = tuple(dict.fromkeys((*beginning, *ending)))
        if len(candidates) > 1:
            raise AmbiguousIdError(given, candidates[:MAX_CANDIDATES])
        return candidates[0] if candidates else given

    async def complete_all(self, given: Sequence[str]) -> tuple[str, ...]:
        """`complete` for each, without repetitions. Only the first few unknown ones are completed."""
        found: dict[str, None] = {}
        completed = 0
        for start in range(0, len(given), MAX_STATES):
            batch = given[start : start + MAX_STATES]
            known = {state.id for state in await self._repository.states(batch)}
            for each in batch:
                if each not in known and (completed := completed + 1) <= MAX_SUGGESTIONS:
                    found[await self.complete(each)] = None
                else:
                    found[each] = None
        return tuple(found)

    async def not_found(self, notification_id: str) -> NotificationNotFoundError:
        """An error that suggests the id that was probably meant."""
        alike = await self._repository.similar_ids(notification_id[:LONGEST])
        return NotificationNotFoundError(notification_id, nearest_id(notification_id, alike))
