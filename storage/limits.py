"""The longest times that settings may ask for.

A database without a clock of its own relies on them: what lies further ahead was written by a process whose
clock was wrong.
"""

from datetime import timedelta

LONGEST_LEASE = timedelta(hours=1)

LONGEST_BACKOFF = timedelta(days=7)
"""Between two attempts, without jitter."""

LONGEST_WAIT = 2 * LONGEST_BACKOFF
"""Between two attempts; jitter at most doubles the backoff."""

CLOCK_TOLERANCE = timedelta(minutes=1)
"""What was done so far in the future was still done by a clock that is right."""
