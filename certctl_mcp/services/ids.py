"""Notification ids as people and models write them: quoted, in upper case, as a URI, or shortened."""

import re

from certctl_mcp.text.untrusted import decode_id

_URI = re.compile(r"certctl://notifications/", re.IGNORECASE)
_OURS = re.compile(r"notif-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OURS_SHORTENED = re.compile(r"(?:notif-)?[0-9a-f-]+")
_QUOTES = "\"'`<>"


def parse_id(given: str) -> str:
    """The intended id, without surrounding characters. Ids of other programs keep their case."""
    text = given.strip().strip(_QUOTES).strip()
    text = decode_id(_URI.sub("", text, count=1))
    return text.lower() if _OURS_SHORTENED.fullmatch(text.lower()) else text


def may_be_shortened(notification_id: str) -> bool:
    """Whether it can be part of one of this program's ids, but isn't a complete one."""
    return bool(_OURS_SHORTENED.fullmatch(notification_id)) and not _OURS.fullmatch(notification_id)
