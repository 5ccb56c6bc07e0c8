"""The rules of the operations that all front ends offer: send, test, requeue, settle, diagnose."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.delivery.attempt import error_text
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.delivery.tracing import Tracing
from certctl_mcp.delivery.trial import TYPE, TrialResult, trial_notification
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients, RecipientNotAllowedError
from certctl_mcp.services.bulk import BulkActions
from certctl_mcp.services.channels import Channels
from certctl_mcp.services.delivery_roles import CERTCTL_CHANNELS, OWN_DATABASE_ROLES, Deliverer, DeliveryRoles
from certctl_mcp.services.diagnosis.diagnosis import Diagnosis, diagnose
from certctl_mcp.services.errors import (
    DeliveriesOffError,
    RecipientRefusedError,
    UnknownChannelError,
    UnknownTypeError,
    UnknownValueError,
)
from certctl_mcp.services.id_lookup import IdLookup
from certctl_mcp.services.limitations import Limitation
from certctl_mcp.services.urgency import certificate_text
from storage.clock import Clock, utc_now
from storage.models import (
    DEAD_LETTERS,
    Accepted,
    Attempt,
    AuditRecord,
    NewNotification,
    Notification,
    NotificationFilter,
    NotificationStatus,
    NotificationType,
    SweepReport,
)
from storage.queries.lookups import ComparedField
from storage.repository import NotificationRepository

MAX_COMPARED = 500
"""How many of the newest notifications are searched for a similar value."""

_SETTLED = (NotificationStatus.SENT, NotificationStatus.READ)

_TYPES = (*(known.value for known in NotificationType), DEAD_LETTERS)

logger = logging.getLogger(__name__)


class NotificationService:
    """Operations on notifications. All methods let `StorageError` pass through.

    Plain reads need no rules and go directly to the repository.
    """

    def __init__(
        self,
        repository: NotificationRepository,
        retry_loop: RetryLoop,
        channels: Mapping[str, str],
        clock: Clock = utc_now,
        *,
        recipients: AllowedRecipients | None = None,
        delivery_roles: DeliveryRoles = OWN_DATABASE_ROLES,
        limitation: Limitation | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`channels` maps the name of each configured channel to its description.

        `limitation` is the reason why this process doesn't attempt due notifications.
        """
        self._repository = repository
        self._retry_loop = retry_loop
        self._clock = clock
        self._recipients = recipients or AllowedRecipients(())
        self._delivery_roles = delivery_roles
        self._limitation = limitation
        self._tracing = tracing
        self.ids = IdLookup(repository)
        self.channels = Channels(repository, channels, delivery_roles, limitation, clock)
        self.bulk = BulkActions(repository, clock)

    async def send(self, new: NewNotification, *, actor: str | None, assistant: bool = False) -> Accepted:
        """Store an alert durably for delivery, on behalf of `actor`. Without an actor, nothing is added to
        the audit log.

        `assistant`: an assistant sends it, and may not send mail to every address.

        Raises:
            UnknownChannelError: no channel of this name is configured here or in another live process.
            RecipientRefusedError: mail to this recipient is not allowed.
            IdempotencyConflictError: its key was accepted before with different contents.
            UnknownCertificateError: certctl's database has no such certificate.
        """
        if new.channel not in self.channels.configured:
            elsewhere = await self.channels.elsewhere()
            # certctl's server delivers it, if it has the channel. One that rescues delivers what it accepts.
            certctl = self._delivery_roles.mode is DeliveryMode.WATCH and self._delivery_roles.beside_certctl
            if new.channel not in elsewhere and not (certctl and new.channel in CERTCTL_CHANNELS):
                raise UnknownChannelError(new.channel, (*self.channels.configured, *elsewhere))
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
        """Test a channel with one immediate attempt of a test message, which is audited but not stored.

        Raises:
            RecipientRefusedError: mail to this recipient is not allowed.
            UnknownChannelError: no channel of this name is configured.
        """
        if channel not in self.channels.configured:
            raise UnknownChannelError(channel, self.channels.configured)
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
        notification = await self.ids.apply(self._repository.get, notification_id)
        return notification, await self._repository.attempts(notification.id)

    async def newest_attempts(
        self, notification_id: str, limit: int
    ) -> tuple[Notification, tuple[Attempt, ...], int]:
        """A notification, its newest attempts, and the number of earlier ones.

        Raises:
            NotificationNotFoundError: there is no such notification.
        """
        notification = await self.ids.apply(self._repository.get, notification_id)
        attempts = await self._repository.attempts(notification.id, limit=limit)
        if len(attempts) < limit:
            return notification, attempts, 0
        in_all = await self._repository.count_attempts(notification.id)
        return notification, attempts, max(0, in_all - len(attempts))

    async def audit_log(self, notification_id: str | None, *, limit: int) -> tuple[AuditRecord, ...]:
        """The audit entries, newest first: all, or those about one notification, which may have been deleted.

        Raises:
            NotificationNotFoundError: there is no such notification and never was. An empty result for a
                misspelt id would suggest that nothing was done.
        """
        wanted = None if notification_id is None else await self.ids.complete(notification_id)
        records = await self._repository.audit_log(wanted, limit=limit)
        if wanted is not None and not records:
            await self.ids.apply(self._repository.get, wanted)
        return records

    async def certificates(self, notifications: Sequence[Notification]) -> dict[str, str]:
        """The states of the certificates that still matter, in a few words, by the notification's id."""
        waiting = [n for n in notifications if n.status not in _SETTLED or n.undelivered]
        if not waiting:
            return {}
        states = await self._repository.certificate_states(waiting)
        now = self._clock()
        texts = {each: certificate_text(state, now) for each, state in states.items()}
        return {each: text for each, text in texts.items() if text is not None}

    async def diagnose(
        self, wanted: NotificationFilter, now: datetime, *, include_failing: bool = True
    ) -> Diagnosis:
        """Why the matching dead letters died, by channel, kind of failure and time, and what to do."""
        processes = await self._repository.processes()

        def deliverer(channel: str) -> Deliverer:
            found = self._delivery_roles.deliverer(channel, processes)
            # Notifications for channels configured here are delivered once a server runs.
            configured = channel in self.channels.configured and found is Deliverer.NOBODY
            return Deliverer.PROCESS if configured else found

        return await diagnose(self._repository, wanted, deliverer, now, include_failing=include_failing)

    async def check_names(self, wanted: NotificationFilter) -> None:
        """Refuse a filter that matches nothing only because a name in it is misspelt.

        Raises:
            UnknownChannelError: its channel is not configured and no notification has it.
            UnknownTypeError: its type is not one of certctl's and no notification has it.
            UnknownValueError: no notification has its recipient or certificate.
        """
        channel, type_ = wanted.channel, wanted.type
        if not (channel is None or channel in self.channels.configured or await self._any(channel=channel)):
            raise UnknownChannelError(
                channel, self.channels.configured, in_use=await self._repository.channels_in_use()
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
            NotificationConflictError: its status does not allow it, or an attempt is in flight.
        """
        return await self.ids.apply(partial(self._repository.requeue, actor=actor), notification_id)

    async def mark_as_read(self, notification_id: str, *, actor: str | None) -> Notification:
        """Settle a notification. If it has not been delivered yet, it will not be.

        Raises:
            NotificationNotFoundError: there is no such notification.
            NotificationConflictError: an attempt is in flight.
        """
        return await self.ids.apply(partial(self._repository.mark_read, actor=actor), notification_id)

    async def retry_failed_notifications(self) -> SweepReport:
        """Attempt everything that is due now, once, and return the outcomes.

        Raises:
            DeliveriesOffError: this process delivers nothing.
        """
        if self._limitation is not None:
            raise DeliveriesOffError(self._limitation)
        return await self._retry_loop.sweep()

    async def drain(self) -> SweepReport:
        """Attempt everything that is due now, in batches, and return the outcomes.

        Raises:
            DeliveriesOffError: this process delivers nothing.
        """
        total = SweepReport(sent=0, failed=0, dead=0, still_under_way=0)
        while True:
            report = await self.retry_failed_notifications()
            total = SweepReport(
                sent=total.sent + report.sent,
                failed=total.failed + report.failed,
                dead=total.dead + report.dead,
                still_under_way=report.still_under_way,
            )
            if report.still_under_way or not (report.sent + report.failed + report.dead):
                return total

    async def _any(self, *, channel: str | None = None, type: str | None = None) -> bool:
        wanted = NotificationFilter(channel=channel, type=type)
        return bool((await self._repository.list(wanted, limit=1)).items)
