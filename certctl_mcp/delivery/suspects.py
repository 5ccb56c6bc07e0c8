"""Suspects: notifications abandoned so often that they may crash whoever attempts them.

Each is attempted in a process of its own, beside the others.
"""

from datetime import timedelta

from storage.models import Claim
from storage.operations.due import SUSPECT_AFTER

MOST_PROCESSES = 8
"""Suspects attempted at once: each costs a process."""

START_UP = timedelta(seconds=10)
"""How long such a process may take to start, beyond the send timeout."""


def is_suspect(claim: Claim) -> bool:
    return claim.notification.abandoned_count >= SUSPECT_AFTER
