"""Warnings about a configuration with which a process can start, but which is suspicious."""

import shlex
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from certctl_mcp.config.durations import LONGEST, format_duration
from certctl_mcp.config.environment import COMMAND_VARIABLES, CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.errors import Key
from certctl_mcp.config.placeholder_secrets import placeholder_secrets
from certctl_mcp.config.secret_files import SECRET_VARIABLES, VARIABLE_SUFFIX
from certctl_mcp.config.settings import Settings

_PREFIX = "CERTCTL_"
_NEAR = 0.85
"""The similarity from which a variable counts as a misspelt one of ours. certctl has many variables of its
own."""

_RELATIVE = "sqlite:///"


def database_description(settings: Settings) -> str:
    """Which database is used, without credentials."""
    url = settings.database_url.get_secret_value()
    if url.startswith(_RELATIVE):
        return f"SQLite {Path.cwd() / url.removeprefix(_RELATIVE)}"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def configuration_warnings(
    settings: Settings, environ: Mapping[str, str], config: Path | None = None
) -> tuple[str, ...]:
    """A line for each warning. Lines contain no values, except the paths of the database and of `config`."""
    warnings = [*misspelt_variables(environ), *value_warnings(settings)]
    url = settings.database_url.get_secret_value()
    files = [("settings file", environ.get(CONFIG_VARIABLE, "").strip() if config is None else str(config))]
    if url.startswith(_RELATIVE):
        files.append(("database", url.removeprefix(_RELATIVE)))
    # Files provided by systemd or Docker are for this service only, and their mode can't be changed.
    files += [
        ("secret in", str(file.path))
        for file in settings.secret_files
        if not file.path.is_relative_to("/run")
    ]
    for what, name in files:
        if name and (mode := _mode_for_others(Path(name).expanduser())):
            warnings.append(
                f"other users of this machine can read the {what} {name} (mode {mode:03o}): "
                f"chmod 600 {shlex.quote(name)}"
            )
    return tuple(warnings)


def value_warnings(settings: Settings) -> tuple[str, ...]:
    """A line for each value that is suspicious by itself, wherever it came from."""
    placeholders = (
        f"{name} is still a placeholder, such as change-me or XXXX: {remedy}"
        for name, remedy in placeholder_problems(settings)
    )
    return (*placeholders, *implausible_values(settings))


def implausible_values(settings: Settings) -> tuple[str, ...]:
    """A line for each value that is hardly ever intended."""
    warnings = []
    if settings.retry_interval == LONGEST:
        warnings.append(
            f"the retry interval counts as {format_duration(LONGEST)}, the longest possible; what is due is "
            "attempted when it is due, whatever the interval"
        )
    url = settings.database_url.get_secret_value()
    path = url.removeprefix(_RELATIVE)
    if url.startswith(_RELATIVE) and not path.startswith("/") and not Path(path).is_absolute():
        warnings.append(
            f"the database path is relative to the working directory: {Path.cwd() / path}; "
            "an absolute path has four slashes after sqlite:"
        )
    return tuple(warnings)


def misspelt_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each variable that isn't one of ours but is similar."""
    files = (name + VARIABLE_SUFFIX for name in SECRET_VARIABLES)
    known = (*VARIABLES, CONFIG_VARIABLE, *COMMAND_VARIABLES, *files)
    lines = []
    for variable in sorted(environ):
        if not variable.upper().startswith(_PREFIX) or variable in known:
            continue
        nearest = get_close_matches(variable.upper(), known, n=1, cutoff=_NEAR)
        if nearest:
            lines.append(f"the variable {variable} is not used; did you mean {nearest[0]}?")
    return tuple(lines)


def placeholder_problems(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Each setting whose secret was copied from an example and never replaced, and what to do about it."""
    return tuple((settings.origin.name(key), _remedy(key)) for key in placeholder_secrets(settings))


def _remedy(key: Key) -> str:
    match key:
        case (_, channel, "secrets"):
            return f"write the real value, or anyone can forge what the channel {channel} sends"
        case ("channels", channel, _):
            return f"write the real value, or remove the channel {channel}: it can't deliver"
        case ("http", _):
            return "use a key of `openssl rand -hex 32`: anyone can guess this one"
        case _:
            return "write the real value"


def _mode_for_others(path: Path) -> int:
    """The mode of a regular file that the group or others may read; otherwise 0."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return 0
    return stat.S_IMODE(mode) if stat.S_ISREG(mode) and mode & 0o044 else 0
