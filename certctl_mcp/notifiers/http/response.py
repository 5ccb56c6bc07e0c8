"""HTTP responses to a notification: the error text of a refusal, and the wait that it requests."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from certctl_mcp.notifiers.base import DeliveryFailedError, delivery_failed
from certctl_mcp.notifiers.excerpt import excerpt, without_markup
from certctl_mcp.notifiers.http.refusals import http_failure_kind

_PHRASES = {status.value: status.phrase for status in HTTPStatus}

_LIMITS = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""Statuses that, with a `Retry-After`, ask to delay all requests, not only this one."""

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, as far as it was read."""

    status: int
    content_type: str = ""
    compressed: bool = False
    """The body's encoding, if the receiver compressed it although we ask for an uncompressed body; it is not
    unpacked."""
    body: bytes = b""
    """The first part of it."""
    cut_short: bool = False
    """Whether the body is incomplete, or did not arrive in time."""
    retry_after: timedelta | None = None

    @property
    def text(self) -> str:
        """The body, as far as it can be read."""
        return "" if self.compressed else self.body.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        """Whether the body is an HTML page, which no API returns."""
        beginning = self.text[:1000].lstrip("\ufeff \t\r\n")[:15].lower()
        return bool(self.body) and (
            "html" in self.content_type or beginning.startswith(("<!doctype", "<!--", "<html"))
        )

    def unsuccessful(self, host: str, objection: str, confidential: Iterable[str]) -> DeliveryFailedError:
        """The failure for a 2xx response that the receiver's API does not return for an accepted message."""
        return self._described(host, confidential, f" {objection}")

    def failure(
        self, host: str, confidential: Iterable[str], *, gone_is_permanent: bool = False
    ) -> DeliveryFailedError:
        """Such as `hooks.slack.com answered 404 Not Found: channel_not_found`.

        `gone_is_permanent`: the receiver follows the Standard Webhooks specification, in which 410 means that
        it will never accept a message.
        """
        return self._described(
            host, confidential, permanent=gone_is_permanent and self.status == HTTPStatus.GONE
        )

    def _described(
        self, host: str, confidential: Iterable[str], remark: str = "", *, permanent: bool = False
    ) -> DeliveryFailedError:
        confidential = tuple(confidential)
        rest = _PHRASES.get(self.status, "") + remark
        if self.retry_after is not None:
            rest += f", retry after {self.retry_after.total_seconds():g} s"
        said = excerpt(without_markup(self.text) if self.is_page else self.text, confidential)
        if said:
            rest += f": {said}"
        kind = http_failure_kind(self.status, rest)
        return delivery_failed(
            f"{host} answered {self.status} {rest}".rstrip(),
            confidential,
            kind=kind,
            permanent=permanent or kind.is_permanent,
            retry_after=self.retry_after,
            told_to_wait=self.status == HTTPStatus.TOO_MANY_REQUESTS
            or (self.retry_after is not None and self.status in _LIMITS),
        )


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a `Retry-After` header requests, in seconds or as a date; None if there is none."""
    if not value:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=float(value))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date without a time zone is in UTC, as HTTP requires for all dates.
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(aware - now, timedelta(0))
