"""Detects placeholders that nothing has expanded, such as `${DIR}`.

MCP hosts start servers without a shell. An unexpanded placeholder would be taken literally: a database path
with one would silently become a new, empty queue in the working directory.
"""

import re
from collections.abc import Iterator, Mapping

Key = tuple[str, ...]

TEMPLATES = "templates"
"""The table of a channel whose texts have their own kind of placeholders."""

_FORMS = (
    (re.compile(r"\$\{[^{}]*\}"), "${NAME}"),
    (re.compile(r"(?:^|:///?)\$[A-Za-z_]\w*", re.ASCII), "$NAME"),
)
_PERCENT = re.compile(r"%(?=([A-Za-z_][A-Za-z0-9_]{2,})%)", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{2}")


def placeholder_in(value: str) -> str | None:
    """The form of a placeholder in `value`, or None."""
    for pattern, form in _FORMS:
        if pattern.search(value):
            return form
    for found in _PERCENT.finditer(value):
        name = found[1]
        # `%C3%A9` is a percent-encoded character, and the beginning of `%E9tudes%20` may be one too.
        if _HEXADECIMAL.match(name) is None or name.replace("_", "").isalpha():
            return "%NAME%"
    return None


def placeholders(settings: Mapping[str, object], key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Each setting in a table of settings that contains a placeholder, and the placeholder's form."""
    for name, value in settings.items():
        match value:
            case str() if (form := placeholder_in(value)) is not None:
                yield (*key, name), form
            case Mapping() if name != TEMPLATES:
                yield from placeholders(value, (*key, name))
            case list() | tuple():
                for item in value:
                    if isinstance(item, str) and (form := placeholder_in(item)) is not None:
                        yield (*key, name), form
                        break
