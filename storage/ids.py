"""Ids of new notifications: `notif-` and a version 7 UUID, so that they sort by time of acceptance."""

import os
import time
from uuid import UUID


def new_notification_id() -> str:
    return f"notif-{_uuid7()}"


def _uuid7() -> UUID:
    """RFC 9562, 5.7: milliseconds since 1970, then their fraction in 12 bits (6.2, method 3), then random
    bits."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    chance = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | chance)
