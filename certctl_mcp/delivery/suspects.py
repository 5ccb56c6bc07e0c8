"""Suspects: notifications abandoned so often that they may crash the process that attempts them.

Each is attempted in its own child process.
"""

from datetime import timedelta

from storage.models import Claim
from storage.operations.due import SUSPECT_AFTER

MAX_PROCESSES = 8
"""The most suspects attempted at once, because each needs a process."""

START_UP = timedelta(seconds=10)
"""The time allowed for such a process to start, in addition to the send timeout."""


def is_suspect(claim: Claim) -> bool:
    return claim.notification.abandoned_count >= SUSPECT_AFTER
