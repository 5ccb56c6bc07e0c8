"""What is accepted when a notification becomes a dead letter: an alert about it, and a copy for the fallback
channel.

A pure function of the settings, except for the ids of the returned notifications. Neither can loop: an alert
about dead letters leads to no alert, and a fallback never goes to a channel on which the notification has
already become a dead letter.
"""

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from certctl_mcp.config.environment import VARIABLES
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients, RecipientNotAllowedError
from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify
from certctl_mcp.services.diagnosis.kinds import REMEDIES
from certctl_mcp.services.next_steps import moment
from certctl_mcp.text.untrusted import clean_name, encode_id
from storage.ids import new_notification_id
from storage.models import (
    DEAD_LETTERS,
    OWN_KEYS,
    Death,
    NewNotification,
    Notification,
    NotificationStatus,
    NotificationType,
)
from storage.operations.accept import pending

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TYPES = frozenset(known.value for known in NotificationType)


@dataclass(frozen=True, slots=True)
class Target:
    """A channel and a recipient."""

    channel: str
    recipient: str
    """Empty for a fallback, which keeps the recipient of the dead letter."""


@dataclass(frozen=True, slots=True)
class DeadLetterRule:
    """The rule for dead letters, from the settings."""

    alert: Target | None
    window: timedelta
    fallbacks: Mapping[str, Target]
    """The fallbacks, by the channel that has one."""
    recipients: AllowedRecipients

    @classmethod
    def of(cls, settings: Settings) -> "DeadLetterRule":
        """Raises: SettingsError: mail to a recipient in these settings is not allowed."""
        own = settings.dead_letters
        rule = cls(
            None if own.alert is None else Target(own.alert, own.recipient),
            own.window,
            {c.name: Target(c.fallback, c.fallback_recipient) for c in settings.channels if c.fallback},
            AllowedRecipients(settings.channels),
        )
        named: dict[tuple[str, ...], Target] = {
            ("channels", name, "fallback_recipient"): to for name, to in rule.fallbacks.items()
        }
        if rule.alert is not None:
            named[("dead_letters", "recipient")] = rule.alert
        problems = []
        for key, target in named.items():
            try:
                rule.recipients.check(target.channel, target.recipient, assistant=False)
            except RecipientNotAllowedError as error:
                variables = (f" ({name})" for name, held in VARIABLES.items() if held == key)
                problems.append(f"{'.'.join(key)}{''.join(variables)}: {error}")
        if problems:
            raise SettingsError(problems)
        return rule

    def successors(self, death: Death) -> tuple[Notification, ...]:
        """The notifications to accept in the transaction in which this notification becomes a dead letter."""
        kind = classify(death.error)
        return (*self._over_fallback(death, kind), *self._alert(death, kind))

    def _over_fallback(self, death: Death, kind: FailureKind) -> Iterator[Notification]:
        dead = death.notification
        tried = tried_channels(dead)
        target = self.fallbacks.get(dead.channel)
        if target is None or tried is None or target.channel in tried or _is_own_fault(death, kind):
            return
        recipient = target.recipient or dead.recipient
        if not self._allowed(target.channel, recipient):
            return
        yield replace(
            dead,
            id=new_notification_id(),
            channel=target.channel,
            recipient=recipient,
            status=NotificationStatus.PENDING,
            rescue_at=None,
            created_at=death.at,
            idempotency_key=f"{OWN_KEYS}fallback:{sha256(dead.id.encode()).hexdigest()}",
            origin_id=dead.id,
            tried_channels=json.dumps(sorted(tried)),
        )

    def _alert(self, death: Death, kind: FailureKind) -> Iterator[Notification]:
        dead = death.notification
        if self.alert is None or dead.type == DEAD_LETTERS:
            return
        begins_at = death.at - (death.at - _EPOCH) % self.window
        new = NewNotification(
            type=DEAD_LETTERS,
            channel=self.alert.channel,
            recipient=self.alert.recipient,
            message=self._message(dead, kind, begins_at + self.window),
        )
        key = sha256(dead.channel.encode()).hexdigest()
        yield replace(
            pending(new, new_notification_id(), death.at),
            idempotency_key=f"{OWN_KEYS}dead-letters:{kind}:{begins_at.isoformat()}:{key}",
        )

    def _message(self, dead: Notification, kind: FailureKind, ends_at: datetime) -> str:
        """The text of the alert, in our own words: it contains nothing that a sender or receiver wrote,
        except names."""
        channel = clean_name(" ".join(dead.channel.split()))
        type_ = f" ({dead.type})" if dead.type in _TYPES else ""
        quoted = shlex.quote(channel)
        return (
            f"A notification over {channel} has become a dead letter. Cause: {REMEDIES[kind].cause}.\n\n"
            f"It is {encode_id(dead.id)}{type_}, accepted {moment(dead.created_at)}. Until {moment(ends_at)} "
            "there are no further alerts about this channel and cause.\n\n"
            f"To see what helps: certctl-mcp diagnose --channel {quoted}\n"
            f"To retry: certctl-mcp requeue --status dead --channel {quoted}"
        )

    def _allowed(self, channel: str, recipient: str) -> bool:
        try:
            self.recipients.check(channel, recipient, assistant=False)
        except RecipientNotAllowedError:
            return False
        return True


def tried_channels(dead: Notification) -> Collection[str] | None:
    """The channels on which this notification has become a dead letter, including its present one; None if
    they are unknown, because another program wrote to the column."""
    try:
        earlier = json.loads(dead.tried_channels or "[]")
    except ValueError:
        return None
    return {dead.channel, *map(str, earlier)} if isinstance(earlier, list) else None


def _is_own_fault(death: Death, kind: FailureKind) -> bool:
    """Whether the notification itself was refused, or its workers died, so that another channel would do no
    better."""
    unknown = kind in (FailureKind.UNKNOWN, FailureKind.DEFECT)
    return kind.is_permanent or kind is FailureKind.ABANDONED or (death.permanent and unknown)
