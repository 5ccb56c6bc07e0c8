"""Secrets in separate files, as Docker, Kubernetes and systemd provide them.

Every variable for a secret has a second form, `<NAME>_FILE`, and every secret key of the settings file a form
`<key>_file`, whose value is the path of a file that contains only the secret. A file, unlike a variable, can
change while the process runs.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, SecretStr

from certctl_mcp.config.destinations import Destination
from certctl_mcp.config.environment import VARIABLES, Table
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.placeholders import placeholder_in

VARIABLE_SUFFIX = "_FILE"
"""The suffix of a variable that names the file of a secret."""

KEY_SUFFIX = "_file"
"""The suffix of such a key in the settings file."""

_MAX_SIZE = 64 * 1024
"""Bytes. Keys, passwords and URLs are far shorter."""

_DESTINATIONS: Mapping[str, type[BaseModel]] = {
    model.model_fields["kind"].default: model for model in get_args(get_args(Destination)[0])
}

Key = tuple[str, ...]

State = tuple[int, int, int]
"""A value that changes when the file does."""


def mentions_secret(annotation: object) -> bool:
    """Whether values of this type are secrets."""
    return annotation is SecretStr or any(mentions_secret(part) for part in get_args(annotation))


def _is_secret(key: Key) -> bool:
    match key:
        case ("database_url",):
            return True
        case ("http", setting):
            return mentions_secret(HttpSettings.model_fields[setting].annotation)
        case ("channels", channel, setting):
            # certctl's channels are named after their kind.
            field = _DESTINATIONS[channel.lower()].model_fields.get(setting)
            return field is not None and mentions_secret(field.annotation)
    return False


SECRET_VARIABLES = tuple(variable for variable, key in VARIABLES.items() if _is_secret(key))


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that a secret was read from."""

    path: Path
    state: State
    """When it was read."""

    def changed(self) -> bool:
        """Whether the file was replaced or has new contents. A missing file counts as unchanged."""
        return self.refreshed() != self

    def refreshed(self) -> "SecretFile":
        """The same file in its present state."""
        try:
            return SecretFile(self.path, _state_of(os.stat(self.path)))
        except OSError:
            return self


class SecretFiles:
    """Inserts the contents of files into settings as they are written. Errors are collected in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._read: dict[Path, SecretFile] = {}

    @property
    def read(self) -> tuple[SecretFile, ...]:
        """The files that were read."""
        return tuple(self._read.values())

    def resolve_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables, with the secrets from the files that they name."""
        found = dict(environ)
        for variable in SECRET_VARIABLES:
            name = variable + VARIABLE_SUFFIX
            written = environ.get(name, "").strip()
            if not written:
                continue
            if environ.get(variable, "").strip():
                self.problems.append(f"{variable} and {name} are both set: keep one of them")
            elif (secret := self._secret(name, written)) is not None:
                found[variable] = secret
        return found

    def resolve_table(self, settings: Table, path: Path | None) -> Table:
        """The table of the settings file at `path`, with the secrets from the files that its keys name."""
        place = f"{path}: "
        found = self._resolved(settings, ("database_url",), place)
        match found.get("http"):
            case dict() as http:
                secret = [name for name in HttpSettings.model_fields if _is_secret(("http", name))]
                found["http"] = self._resolved(http, secret, f"{place}http.")
        match found.get("channels"):
            case dict() as channels:
                found["channels"] = {
                    name: self._channel(name, table, f"{place}channels.{name}.")
                    for name, table in channels.items()
                }
        return found

    def _channel(self, name: str, table: object, place: str) -> object:
        if not isinstance(table, dict):
            return table
        model = _DESTINATIONS.get(str(table.get("kind", name.lower())))
        if model is None:
            return table
        fields = {
            key: field for key, field in model.model_fields.items() if mentions_secret(field.annotation)
        }
        found = self._resolved(table, fields, place)
        for key in fields:
            match found.get(key):
                case dict() as values:
                    # Such as headers, each of which may be a secret.
                    names = [name.removesuffix(KEY_SUFFIX) for name in values if name.endswith(KEY_SUFFIX)]
                    found[key] = self._resolved(values, names, f"{place}{key}.")
        if "secrets" in fields and isinstance(found.get("secrets"), str) and "secrets" not in table:
            found["secrets"] = lines_of(str(found["secrets"]))
        return found

    def _resolved(self, table: Table, secrets: Iterable[str], place: str) -> Table:
        """`table`, with each of `secrets` for which it names a file."""
        found = dict(table)
        for key in secrets:
            named = key + KEY_SUFFIX
            if named not in table:
                continue
            written = found.pop(named)
            if key in table:
                self.problems.append(f"{place}{key} and {named} are both set: keep one of them")
            elif not isinstance(written, str) or not written.strip():
                self.problems.append(f"{place}{named}={written!r}: must be the path of a file")
            elif (secret := self._secret(place + named, written.strip())) is not None:
                found[key] = secret
        return found

    def _secret(self, name: str, written: str) -> str | None:
        """The secret in the file that the setting `name` names; None if it can't be read."""
        if (form := placeholder_in(written)) is not None:
            self.problems.append(f"{name} holds an unexpanded placeholder ({form}): write the path itself")
            return None
        path = Path(written)
        try:
            path = path.expanduser()
            secret, file = _read(path)
        except RuntimeError:
            self.problems.append(f"{name}={written!r} must not begin with ~: this user has no home directory")
            return None
        except (OSError, ValueError) as failure:
            reason = failure.strerror if isinstance(failure, OSError) else str(failure)
            self.problems.append(f"{name}: the file {path} can't be used: {reason}")
            return None
        self._read[path] = file
        return secret


def lines_of(text: str) -> list[str]:
    """Several secrets, one per line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read(path: Path) -> tuple[str, SecretFile]:
    """Raises: OSError, ValueError: it can't be read, or contains no secret."""
    # Reading anything else might never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a regular file")
    with path.open("rb") as opened:
        state = _state_of(os.fstat(opened.fileno()))
        content = opened.read(_MAX_SIZE + 1)
    if len(content) > _MAX_SIZE:
        raise ValueError(f"it is larger than {_MAX_SIZE} bytes")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    if not secret.strip():
        raise ValueError("it is empty")
    return secret, SecretFile(path, state)


def _state_of(found: os.stat_result) -> State:
    return found.st_ino, found.st_size, found.st_mtime_ns
