"""Text that both databases can store: anything without NUL and without unpaired surrogates."""


def storable(text: str) -> str:
    """The text with U+FFFD in place of characters that can't be stored."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def is_storable(text: str) -> bool:
    """Whether a database can store this text. If not, no stored name equals it."""
    return storable(text) == text
