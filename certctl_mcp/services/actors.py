"""The names under which the audit log records who did something: a front, and its own name for the caller."""

LONGEST = 200
"""Characters of a name; clients choose their own."""


def actor_name(front: str, caller: str = "") -> str:
    """Such as `http:oncall` or `cli:alice`."""
    return (f"{front}:{caller}" if caller else front)[:LONGEST]
