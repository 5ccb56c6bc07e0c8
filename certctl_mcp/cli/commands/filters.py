"""Which notifications does the operator mean? The filter that the options of a command describe."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import typer
from pydantic import ValidationError

from certctl_mcp.config.durations import parse_duration
from storage.clock import utc_now
from storage.models import NotificationFilter, NotificationStatus


def notification_filter(
    *,
    statuses: Sequence[str],
    channel: str | None,
    type_: str | None,
    certificate: str | None,
    recipient: str | None,
    text: str | None,
    since: str | None,
    until: str | None,
) -> NotificationFilter:
    """What the options say. Raises: typer.BadParameter, which names the option and what is allowed."""
    with refused_options():
        return NotificationFilter(
            statuses=tuple(parse_status(status) for status in statuses),
            channel=channel,
            type=type_,
            certificate_id=certificate,
            recipient=recipient,
            text=text,
            created_from=parse_moment("--since", since),
            created_until=parse_moment("--until", until),
        )


def parse_status(given: str) -> NotificationStatus:
    """Raises: typer.BadParameter."""
    try:
        return NotificationStatus(given.strip().lower())
    except ValueError:
        allowed = ", ".join(status.value for status in NotificationStatus)
        raise typer.BadParameter(f"{given!r} is not one of {allowed}", param_hint="--status") from None


def parse_moment(option: str, given: str | None) -> datetime | None:
    """A moment as ISO 8601 writes it, in UTC unless it says otherwise, or so long ago as a duration says.

    Raises: typer.BadParameter.
    """
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given.strip())
    except ValueError:
        try:
            return utc_now() - parse_duration(given)
        except ValueError:
            expected = "a date or time such as 2026-01-31 or 2026-01-31T08:00, or how long ago, such as 24h"
            raise typer.BadParameter(f"{given!r} is not {expected}", param_hint=option) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_OPTIONS = {"certificate_id": "--certificate", "created_from": "--since", "created_until": "--until"}


@contextmanager
def refused_options() -> Iterator[None]:
    """Raise a typer.BadParameter for the first value that a model refuses, under its option's name."""
    try:
        yield
    except ValidationError as refused:
        problem = refused.errors(include_url=False)[0]
        field = str(problem["loc"][0])
        option = _OPTIONS.get(field, f"--{field.replace('_', '-')}")
        reason = problem["msg"].removeprefix("Value error, ").replace("String should", "must")
        raise typer.BadParameter(reason, param_hint=option) from None
