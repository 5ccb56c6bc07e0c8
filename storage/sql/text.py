"""Which text can a database hold? All but NUL and halves of characters, which errors and callers may have."""


def storable(text: str) -> str:
    """The text with a sign in the place of what can't be stored."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def is_storable(text: str) -> bool:
    """Whether a database may hold it at all: where it can't, nothing there is called so."""
    return storable(text) == text
