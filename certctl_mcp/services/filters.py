"""The conditions by which callers filter notifications, as all front ends accept them.

A front end translates its own parameters to these, and a `FilterError` to its own kind of refusal.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, WithJsonSchema

from certctl_mcp.services.errors import RequestError, quoted
from certctl_mcp.services.ids import parse_id
from certctl_mcp.services.moments import advice, parse_moment
from storage.models import OUR_STATUSES, NotificationFilter, NotificationStatus, Urgency

URGENT_WITHIN = timedelta(days=1)
"""Notifications are urgent if their certificate expires within this time."""


class FilterError(RequestError):
    """A condition can't be used as given. The message starts with its name and says what is allowed."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"{argument}: {reason}")
        self.argument = argument
        self.reason = reason


def _as_tuple(given: object) -> object:
    return (given,) if isinstance(given, str) else given


# The descriptions are for front ends that build a schema from them.
Statuses = Annotated[
    tuple[NotificationStatus, ...],
    # A list may be long, and each error takes time to report.
    FailFast(),
    BeforeValidator(_as_tuple),
    Field(description="Any of these."),
]
_Changeable = Annotated[
    NotificationStatus, WithJsonSchema({"type": "string", "enum": [status.value for status in OUR_STATUSES]})
]
ChangeableStatuses = Annotated[
    tuple[_Changeable, ...], FailFast(), BeforeValidator(_as_tuple), Field(description="Any of these.")
]
Channel = Annotated[str | None, Field(description="See list_channels.")]
Type = Annotated[str | None, Field(description="Such as ExpirationWarning.")]
CertificateId = Annotated[str | None, Field(description="Exact.")]
Recipient = Annotated[str | None, Field(description="Exact.")]
Text = Annotated[
    str | None, Field(min_length=1, max_length=255, description="Part of message or error, any case.")
]
CreatedAfter = Annotated[str | None, Field(description="From then on: ISO 8601 (UTC) or an age: 24h, 7d.")]
CreatedBefore = Annotated[str | None, Field(description="Before; likewise.")]
UrgencyOfCertificate = Annotated[
    Urgency | None,
    Field(description="settled: certificate renewed or revoked since; open: not; urgent: and has < 24 h."),
]
# Bulk actions take the same conditions as lists, where they are explained.
SelectedText = Annotated[
    str | None,
    Field(min_length=1, max_length=255),
    WithJsonSchema({"type": "string", "description": "Part of message or error, any case."}),
]
SelectedAfter = Annotated[str | None, Field(description="See list_notifications.")]
SelectedBefore = Annotated[str | None, Field(description="Likewise.")]
SelectedUrgency = Annotated[Urgency | None, Field(description="See list_notifications.")]
Ids = Annotated[
    tuple[Annotated[str, AfterValidator(parse_id)], ...],
    Field(max_length=500, description="Just these."),
    BeforeValidator(_as_tuple),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterArguments:
    """Conditions that must all hold. Conditions left out match everything."""

    status: Statuses = ()
    channel: Channel = None
    type: Type = None
    certificate_id: CertificateId = None
    recipient: Recipient = None
    text: Text = None
    created_after: CreatedAfter = None
    created_before: CreatedBefore = None
    urgency: UrgencyOfCertificate = None

    def filter(self, now: datetime) -> NotificationFilter:
        """The filter that the conditions describe at `now`, from which ages count back.

        Raises:
            FilterError: a moment can't be read, or there is no time between the two.
        """
        begin = _moment("created_after", self.created_after, now)
        end = _moment("created_before", self.created_before, now)
        # An empty result could be mistaken for good news.
        if begin is not None and begin > now:
            raise FilterError("created_after", f"{_iso(begin)} is in the future; it is now {_iso(now)}")
        if begin is not None and end is not None and begin >= end:
            raise FilterError("created_after", f"{_iso(begin)} is not before created_before, {_iso(end)}")
        return NotificationFilter(
            statuses=self.status,
            channel=self.channel,
            type=self.type,
            certificate_id=self.certificate_id,
            recipient=self.recipient,
            text=self.text,
            created_from=begin,
            created_until=end,
            urgency=self.urgency,
            urgent_until=None if self.urgency is None else now + URGENT_WITHIN,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionArguments(FilterArguments):
    """Conditions, a list of ids, or both."""

    status: ChangeableStatuses = ()
    text: SelectedText = None
    created_after: SelectedAfter = None
    created_before: SelectedBefore = None
    urgency: SelectedUrgency = None
    ids: Ids = ()

    def filter(self, now: datetime) -> NotificationFilter:
        # `super()` without arguments does not work in a class that slots rebuilt.
        return FilterArguments.filter(self, now).model_copy(update={"ids": self.ids})


def parse_argument(argument: str, given: str, now: datetime) -> datetime:
    """A point in time. Raises: FilterError: it can't be read."""
    try:
        return parse_moment(given, now)
    except ValueError:
        raise FilterError(argument, f"{quoted(given)} is not a point in time; {advice(given, now)}") from None


def _moment(argument: str, given: str | None, now: datetime) -> datetime | None:
    return None if given is None else parse_argument(argument, given, now)


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
