"""The names under which the audit log records who did something: the front end, and its name for the
caller."""

LONGEST = 200
"""The most characters of a name; clients choose their own names."""


def actor_name(front: str, caller: str = "") -> str:
    """Such as `http:oncall` or `cli:alice`."""
    return (f"{front}:{caller}" if caller else front)[:LONGEST]
