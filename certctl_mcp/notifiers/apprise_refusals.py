"""The kind of failure that a service's response indicates, as far as Apprise repeats it."""

import re

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.notifiers.http.refusals import http_failure_kind

_STATUS = re.compile(r"error=(?P<status>[1-5][0-9]{2})\b", re.ASCII)

_TOO_LARGE = 413


def apprise_failure_kind(said: str) -> FailureKind | None:
    """None if `said`, the text that Apprise logged, has no HTTP status."""
    found = _STATUS.search(said)
    if found is None:
        return None
    status = int(found["status"])
    # Whether the answer named a time is unknown, so the alert itself is not to blame.
    return FailureKind.REQUEST if status == _TOO_LARGE else http_failure_kind(status, said)
