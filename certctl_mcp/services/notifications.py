"""The rules of the operations that every front offers: send, test, requeue, settle, diagnose."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from pydantic import BaseModel, ConfigDict

from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.delivery.attempt import error_text
from certctl_mcp.delivery.channel_probe import TYPE, TrialResult, trial_notification
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.delivery.tracing import Tracing
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients, RecipientNotAllowedError
from certctl_mcp.services.bulk import BulkActions
from certctl_mcp.services.deliverers import delivery_described, left_to_nobody
from certctl_mcp.services.delivering import CERTCTL_CHANNELS, DELIVERING, Deliverer, Delivering
from certctl_mcp.services.diagnosis.diagnosing import Diagnosis, diagnose
from certctl_mcp.services.errors import (
    AmbiguousIdError,
    DeliveriesOffError,
    RecipientRefusedError,
    UnknownChannelError,
    UnknownTypeError,
    UnknownValueError,
)
from certctl_mcp.services.ids import may_be_shortened
from certctl_mcp.services.limitations import Limitation
from certctl_mcp.services.suggestions import LONGEST, nearest_id
from storage.clock import Clock, utc_now
from storage.errors import NotificationConflictError, NotificationNotFoundError
from storage.models import (
    DEAD_LETTERS,
    Accepted,
    Attempt,
    AuditAction,
    ChannelRecord,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationState,
    NotificationType,
    SweepReport,
    UnservedChannel,
)
from storage.operations.actions import ELIGIBLE
from storage.operations.requeue import UNDER_WAY
from storage.queries.lookups import ComparedField
from storage.repository import NotificationRepository

MAX_COMPARED = 500
"""The newest notifications among whose values a similar one is looked for."""

LATELY = timedelta(days=1)
"""The period over which a channel's attempts are summarized."""

Refusal = NotificationConflictError | NotificationNotFoundError

_TYPES = (*(known.value for known in NotificationType), DEAD_LETTERS)


SHORTEST_PART = 4
"""Characters of an id that may stand for the whole."""

MOST_CANDIDATES = 5

MOST_STATES = 500
"""Ids that are looked up at once."""

MOST_SUGGESTIONS = 20
"""The number of unknown ids to suggest another for: each costs a query."""


logger = logging.getLogger(__name__)


class ChannelHealth(BaseModel):
    """A configured channel and how its recent attempts went."""

    model_config = ConfigDict(frozen=True)

    name: str
    destination: str
    """Its kind and address, without secrets."""
    record: ChannelRecord | None
    """None if nothing was attempted recently."""
    processes: int = 0
    """Live processes that deliver over it."""


class NotificationService:
    """Operations on notifications. All methods let `StorageError` pass through.

    Plain reads have no rule and go to the repository directly.
    """

    def __init__(
        self,
        repository: NotificationRepository,
        retry_loop: RetryLoop,
        channels: Mapping[str, str],
        clock: Clock = utc_now,
        *,
        recipients: AllowedRecipients | None = None,
        delivering: Delivering = DELIVERING,
        limitation: Limitation | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`channels` maps the name of each configured channel to its description.

        `limitation` is what keeps this process from attempting due notifications.
        """
        self._repository = repository
        self._retry_loop = retry_loop
        self._channels = channels
        self._clock = clock
        self._recipients = recipients or AllowedRecipients(())
        self._delivering = delivering
        self._limitation = limitation
        self._tracing = tracing
        self.bulk = BulkActions(repository, clock)

    @property
    def configured(self) -> tuple[str, ...]:
        """The names of the configured channels."""
        return tuple(self._channels)

    async def send(self, new: NewNotification, *, actor: str | None, assistant: bool = False) -> Accepted:
        """Store an alert durably for delivery, on behalf of `actor`. Without one, nothing is audited.

        `assistant`: an assistant sends it, and may not write to every address.

        Raises:
            UnknownChannelError: no channel of this name is configured here or in another live process.
            RecipientRefusedError: mail to this recipient is not allowed.
            IdempotencyConflictError: its key was accepted before with different contents.
            UnknownCertificateError: certctl's database has no such certificate.
        """
        if new.channel not in self._channels:
            elsewhere = await self._channels_elsewhere()
            # certctl's server delivers it, if it has the channel. Who rescues keeps what is sent to itself.
            certctl = self._delivering.mode is DeliveryMode.WATCH and self._delivering.beside_certctl
            if new.channel not in elsewhere and not (certctl and new.channel in CERTCTL_CHANNELS):
                raise UnknownChannelError(new.channel, (*self._channels, *elsewhere))
            if assistant and new.recipient:
                raise RecipientRefusedError(
                    f"the channel {new.channel!r} is configured in another process, and only that one knows "
                    "which recipients are allowed; leave the recipient out"
                )
        self._check_recipient(new.channel, new.recipient, assistant=assistant)
        if self._tracing is None:
            return await self._repository.accept(new, actor=actor)
        with self._tracing.accepting(new) as traceparent:
            traced = new.model_copy(update={"traceparent": traceparent})
            return await self._repository.accept(traced, actor=actor)

    async def send_test(
        self,
        channel: str,
        recipient: str = "",
        *,
        type: str = TYPE,
        actor: str | None = None,
        assistant: bool = False,
    ) -> TrialResult:
        """Try a channel with one immediate attempt of a test message, which is not stored but audited.

        Raises:
            RecipientRefusedError: mail to this recipient is not allowed.
            UnknownChannelError: no channel of this name is configured.
        """
        if channel not in self._channels:
            raise UnknownChannelError(channel, tuple(self._channels))
        self._check_recipient(channel, recipient, assistant=assistant)
        trial = trial_notification(channel, recipient, self._clock(), type=type)
        if actor is not None:
            await self._repository.record_test(trial.id, actor=actor)
        logger.info("%s tests the channel %r with %s", actor or "the operator", channel, trial.id)
        answer = await self._retry_loop.try_once(trial)
        failure = None if answer.failure is None else error_text(answer.failure)
        return TrialResult(duration=answer.duration, failure=failure)

    def _check_recipient(self, channel: str, recipient: str, *, assistant: bool) -> None:
        try:
            self._recipients.check(channel, recipient, assistant=assistant)
        except RecipientNotAllowedError as error:
            raise RecipientRefusedError(str(error)) from None

    async def get(self, notification_id: str) -> tuple[Notification, tuple[Attempt, ...]]:
        """A notification and its attempts.

        Raises:
            NotificationNotFoundError: there is no such notification.
        """
        notification = await self._of_id(self._repository.get, notification_id)
        return notification, await self._repository.attempts(notification_id)

    async def newest_attempts(
        self, notification_id: str, limit: int
    ) -> tuple[Notification, tuple[Attempt, ...], int]:
        """A notification, its newest attempts, and the number of earlier ones.

        Raises:
            NotificationNotFoundError: there is no such notification.
        """
        notification = await self._of_id(self._repository.get, notification_id)
        attempts = await self._repository.attempts(notification_id, limit=limit)
        if len(attempts) < limit:
            return notification, attempts, 0
        in_all = await self._repository.count_attempts(notification_id)
        return notification, attempts, max(0, in_all - len(attempts))

    async def diagnose(
        self, wanted: NotificationFilter, now: datetime, *, include_failing: bool = True
    ) -> Diagnosis:
        """Why the matching dead letters died, by channel, kind of failure and time, and what to do."""
        processes = await self._repository.processes()

        def deliverer(channel: str) -> Deliverer:
            found = self._delivering.deliverer(channel, processes)
            # What is configured here is delivered once a server runs.
            configured = channel in self._channels and found is Deliverer.NOBODY
            return Deliverer.PROCESS if configured else found

        return await diagnose(self._repository, wanted, deliverer, now, include_failing=include_failing)

    async def deliverable_channels(self) -> frozenset[str]:
        """The channels over which something that is requeued is delivered."""
        certctl = CERTCTL_CHANNELS if self._delivering.certctl_delivers else frozenset[str]()
        return certctl.union(self._channels, await self._channels_elsewhere())

    async def check_names(self, wanted: NotificationFilter) -> None:
        """Refuse a filter that matches nothing only because a name in it is misspelt.

        Raises:
            UnknownChannelError: its channel is not configured and no notification has it.
            UnknownTypeError: its type is not one of certctl's and no notification has it.
            UnknownValueError: no notification has its recipient or certificate.
        """
        channel, type_ = wanted.channel, wanted.type
        if not (channel is None or channel in self._channels or await self._any(channel=channel)):
            raise UnknownChannelError(
                channel, tuple(self._channels), in_use=await self._repository.channels_in_use()
            )
        if not (type_ is None or type_ in _TYPES or await self._any(type=type_)):
            raise UnknownTypeError(type_, _TYPES, in_use=await self._repository.types_in_use())
        await self._check_values(wanted)

    async def _check_values(self, wanted: NotificationFilter) -> None:
        """Raises: UnknownValueError: no notification has the recipient or the certificate of the filter."""
        fields: tuple[ComparedField, ...] = ("recipient", "certificate_id")
        for field in fields:
            value: str | None = getattr(wanted, field)
            if value is None:
                continue
            one = NotificationFilter.model_validate({field: value})
            if (await self._repository.list(one, limit=1)).items:
                continue
            in_use = await self._repository.recent_values(field, limit=MAX_COMPARED)
            raise UnknownValueError(field, value, in_use=in_use)

    async def requeue_notification(self, notification_id: str, *, actor: str | None) -> Notification:
        """Retry a dead, failed or undelivered notification from scratch; it is attempted at once.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: its status does not allow it, or an attempt is under way.
        """
        return await self._of_id(partial(self._repository.requeue, actor=actor), notification_id)

    async def mark_as_read(self, notification_id: str, *, actor: str | None) -> Notification:
        """Settle a notification. If it has not been delivered yet, it will not be.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: an attempt is under way.
        """
        return await self._of_id(partial(self._repository.mark_read, actor=actor), notification_id)

    async def refusals(self, action: AuditAction, ids: Sequence[str]) -> tuple[Refusal, ...]:
        """Why `action` can't be done to some of up to 500 notifications, in the order of `ids`."""
        states = {state.id: state for state in await self._repository.states(ids)}
        found: list[Refusal] = []
        missing = 0
        for each in ids:
            state = states.get(each)
            if state is not None:
                found += filter(None, [_conflict(action, state)])
            elif (missing := missing + 1) <= MOST_SUGGESTIONS:
                found.append(await self.not_found(each))
            else:
                found.append(NotificationNotFoundError(each))
        return tuple(found)

    async def retry_failed_notifications(self) -> SweepReport:
        """Attempt everything that is due now, once, and return the outcomes.

        Raises:
            DeliveriesOffError: this process delivers nothing.
        """
        if self._limitation is not None:
            raise DeliveriesOffError(self._limitation)
        return await self._retry_loop.sweep()

    async def channels(self) -> tuple[ChannelHealth, ...]:
        """The configured channels in the order of the settings, then those that only other processes have."""
        records = {record.channel: record for record in await self._repository.channel_records(LATELY)}
        processes = await self._repository.processes()
        destinations = dict(self._channels)
        for channel in await self._channels_elsewhere():
            hosts = sorted({process.host for process in processes if channel in process.channels})
            destinations[channel] = f"configured in another process, on {', '.join(hosts)}"
        return tuple(
            ChannelHealth(
                name=name,
                destination=destination,
                record=records.get(name),
                processes=sum(name in process.channels for process in processes),
            )
            for name, destination in destinations.items()
        )

    async def deliverer(self, channel: str, *, serving: bool = False) -> Deliverer:
        """Who delivers the notifications of a channel at present.

        `serving`: this process is a server, which delivers over its channels unless it is limited.
        """
        (found,) = await self.deliverers((channel,), serving=serving)
        return found

    async def deliverers(self, channels: Iterable[str], *, serving: bool = False) -> frozenset[Deliverer]:
        """Those of several channels; see `deliverer`."""
        processes = await self._repository.processes()
        here = self._channels if serving and self._limitation is None else ()
        own = Deliverer.RESCUE if self._delivering.certctl_delivers else Deliverer.PROCESS
        return frozenset(
            own if channel in here else self._delivering.deliverer(channel, processes) for channel in channels
        )

    async def delivery(self) -> str | None:
        """Who delivers on certctl's database, in words; None elsewhere."""
        processes = await self._repository.processes()
        return await delivery_described(self._repository, self._delivering, processes, self._clock())

    async def sent_by_certctl(self, since: datetime, until: datetime) -> str | None:
        """Where certctl's server delivers: what became of the alerts of a period, for its attempts are in no
        record. None elsewhere."""
        if not self._delivering.certctl_delivers:
            return None
        counts: Counter[str] = Counter()
        wanted = NotificationFilter(created_from=since, created_until=until)
        for share in await self._repository.breakdown(wanted):
            counts[share.status.value] += share.count
        shown = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return (
            "These are the attempts of certctl-mcp. certctl's server delivers and records none of its own. "
            f"Of the alerts created in this period are now: {shown or 'none'}."
        )

    async def left_to_nobody(self) -> tuple[UnservedChannel, ...]:
        """The channels that no live process has, with what therefore nobody delivers."""
        return await left_to_nobody(self._repository, self._delivering)

    async def _channels_elsewhere(self) -> tuple[str, ...]:
        """The channels that only other live processes have."""
        live = await self._repository.processes()
        found = {channel for process in live for channel in process.channels}
        return tuple(sorted(found.difference(self._channels)))

    async def not_found(self, notification_id: str) -> NotificationNotFoundError:
        """An error that says so and suggests the id that was probably meant."""
        alike = await self._repository.similar_ids(notification_id[:LONGEST])
        return NotificationNotFoundError(notification_id, nearest_id(notification_id, alike))

    async def complete_id(self, given: str) -> str:
        """The only id that is, begins with or ends with `given`.

        An id that nothing matches is returned as it is, to be refused where it is used.

        Raises:
            AmbiguousIdError: several match.
        """
        if await self._repository.states((given,)) or len(given) < SHORTEST_PART:
            return given
        beginning = await self._repository.ids_beginning(given, MOST_CANDIDATES)
        ending = await self._repository.ids_ending(given, MOST_CANDIDATES)
        candidates = tuple(dict.fromkeys((*beginning, *ending)))
        if len(candidates) > 1:
            raise AmbiguousIdError(given, candidates[:MOST_CANDIDATES])
        return candidates[0] if candidates else given

    async def complete_ids(self, given: Sequence[str]) -> tuple[str, ...]:
        """`complete_id` for each, without repetitions. Only the first few unknown ones are completed."""
        found: dict[str, None] = {}
        completed = 0
        for start in range(0, len(given), MOST_STATES):
            batch = given[start : start + MOST_STATES]
            known = {state.id for state in await self._repository.states(batch)}
            for each in batch:
                if each not in known and (completed := completed + 1) <= MOST_SUGGESTIONS:
                    found[await self.complete_id(each)] = None
                else:
                    found[each] = None
        return tuple(found)

    async def _of_id(
        self, step: Callable[[str], Awaitable[Notification]], notification_id: str
    ) -> Notification:
        """What `step` returns for the id, or for the only one that it is short for; else a suggestion."""
        try:
            return await step(notification_id)
        except NotificationNotFoundError:
            short = may_be_shortened(notification_id)
            full = await self.complete_id(notification_id) if short else notification_id
            if full == notification_id:
                raise await self.not_found(notification_id) from None
            return await step(full)

    async def _any(self, *, channel: str | None = None, type: str | None = None) -> bool:
        wanted = NotificationFilter(channel=channel, type=type)
        return bool((await self._repository.list(wanted, limit=1)).items)


def _conflict(action: AuditAction, state: NotificationState) -> NotificationConflictError | None:
    rule = ELIGIBLE[action]
    if state.status is rule.done_already:
        return None
    if state.under_way:
        return NotificationConflictError(state.id, state.status, UNDER_WAY)
    if rule.includes(state.status, undelivered=state.undelivered):
        return None
    return NotificationConflictError(state.id, state.status, rule.refusal)
