"""API keys and what each may do, in the formats that certctl's server reads.

Several keys may share a name: both work while one replaces the other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SEPARATORS = re.compile(r"[,\n]")

MIN_LENGTH = 8
GOOD_LENGTH = 16
"""The minimum length of a key, in characters."""

_FORMS = "name:key, name:key:admin or name:key:read-only"


class Role(StrEnum):
    """What a caller may do: only read, do everything except delete, or do everything."""

    READER = "read-only"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, its name and its role."""

    name: str
    key: SecretStr
    role: Role


def parse_named_keys(written: str) -> tuple[ApiKey, ...]:
    """Keys separated by commas or one per line, as in `CERTCTL_API_KEYS_NAMED` or its file.

    Errors never show a key.

    Raises:
        ValueError: an entry is malformed, or two contradict each other.
    """
    keys: list[ApiKey] = []
    for number, entry in enumerate(_SEPARATORS.split(written), 1):
        if entry.strip():
            keys.append(_parsed(number, entry))
            _check(keys)
    return tuple(keys)


def parse_secret(written: str) -> tuple[ApiKey, ...]:
    """The same without names, as in `CERTCTL_AUTH_SECRET`."""
    keys = dict.fromkeys(part.strip() for part in _SEPARATORS.split(written) if part.strip())
    return tuple(
        ApiKey(f"legacy-key-{number}", SecretStr(key), Role.OPERATOR) for number, key in enumerate(keys)
    )


def check_strength(keys: Sequence[ApiKey]) -> None:
    """Raises: ValueError: a key is so short that it can be guessed."""
    for key in keys:
        if len(key.key.get_secret_value()) < MIN_LENGTH:
            raise ValueError(
                f"the key of {key.name} is too short: at least {MIN_LENGTH} characters, better {GOOD_LENGTH} "
                "or more of `openssl rand -hex 32`"
            )


def is_weak(key: ApiKey) -> bool:
    """Whether a key is accepted but should be replaced: it is short or repeats few characters."""
    text = key.key.get_secret_value()
    return len(text) < GOOD_LENGTH or len(set(text)) < GOOD_LENGTH // 2


def _parsed(number: int, entry: str) -> ApiKey:
    name, *rest = (part.strip() for part in entry.split(":"))
    if not 1 <= len(rest) <= 2:
        raise ValueError(f"entry {number} must be {_FORMS}")
    # The text in place of a name may be a key, so it is not shown.
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of entry {number} must be letters, digits, hyphens and underscores")
    key, flag = rest[0], rest[1] if len(rest) == 2 else ""
    if not key:
        raise ValueError(f"the key of {name} is empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"the key of {name} must be visible ASCII characters")
    if flag not in ("", Role.ADMIN, Role.READER):
        raise ValueError(f"what follows the key of {name} must be {Role.ADMIN} or {Role.READER}")
    return ApiKey(name, SecretStr(key), Role(flag or Role.OPERATOR))


def _check(keys: list[ApiKey]) -> None:
    *earlier, last = keys
    for other in earlier:
        same_key = other.key.get_secret_value() == last.key.get_secret_value()
        if same_key and other.name == last.name:
            raise ValueError(f"{last.name} has the same key twice; to replace it give a new one beside it")
        if same_key:
            raise ValueError(f"{other.name} and {last.name} have the same key")
        if other.name == last.name and other.role != last.role:
            raise ValueError(f"the keys of {last.name} differ in what they may do; they must all do the same")
