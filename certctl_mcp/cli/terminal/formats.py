"""The formats of a command's output."""

from enum import StrEnum


class Format(StrEnum):
    """`TEXT` is for people, and falsy; the others are for programs."""

    TEXT = ""
    JSON = "json"
    """One indented document."""
    NDJSON = "ndjson"
    """A document on each line; a list has one for each of its rows."""
