"""The modes in which a process takes part in deliveries."""

from enum import StrEnum


class DeliveryMode(StrEnum):
    """What a process attempts."""

    WATCH = "watch"
    """Nothing. On certctl's database certctl's server delivers; elsewhere, another process."""
    RESCUE = "rescue"
    """On certctl's database: what certctl's server has left undelivered."""
    DELIVER = "deliver"
    """Everything."""


_ALIASES = {
    **dict.fromkeys(("true", "yes", "on", "1"), DeliveryMode.DELIVER),
    **dict.fromkeys(("false", "no", "off", "0"), DeliveryMode.WATCH),
}


def read_mode(written: object) -> object:
    """The mode, if `written` names a mode or is a truth value; otherwise `written` itself."""
    if isinstance(written, bool):
        return DeliveryMode.DELIVER if written else DeliveryMode.WATCH
    if isinstance(written, str):
        word = written.strip().lower()
        return _ALIASES.get(word, word)
    return written
