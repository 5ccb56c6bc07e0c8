from datetime import timedelta

import pytest

from certctl_mcp.notifiers.http.response import parse_retry_after
from tests.builders import NOON


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        ("0.5", timedelta(milliseconds=500)),
        ("-1", None),
        ("soon", None),
        ("9" * 5000, None),
        ("١٢", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Thursday, 01-Jan-26 12:00:30 GMT", timedelta(seconds=30)),
        ("Thu, 01 Jan 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("Thu, 01 Jan 2026 11:00:00 GMT", timedelta(0)),
        ("Fri, 99 Foo 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_none(
    value: str | None, wait: timedelta | None
) -> None:
    assert parse_retry_after(value, NOON) == wait
