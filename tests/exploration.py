"""How far exploring tests go: a short way in every run, a long way with `EXPLORE=long`."""

import os

LONG = os.environ.get("EXPLORE") == "long"


def size(short: int, long: int) -> int:
    """The number of examples or rows to try in this run."""
    return long if LONG else short
