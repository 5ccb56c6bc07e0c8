"""The longest times that settings allow.

A database without its own clock relies on them: any later time was written by a process with a wrong clock.
"""

from datetime import timedelta

LONGEST_LEASE = timedelta(hours=1)

LONGEST_BACKOFF = timedelta(days=7)
"""The longest backoff between two attempts, without jitter."""

LONGEST_WAIT = 2 * LONGEST_BACKOFF
"""The longest wait between two attempts: jitter at most doubles the backoff."""

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far in the future a recorded time may be before the clock that recorded it counts as wrong."""
