"""What is suspicious in the configuration, though a process can start with it."""

import shlex
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from certctl_mcp.config.durations import LONGEST, format_duration
from certctl_mcp.config.environment import COMMAND_VARIABLES, CONFIG_VARIABLE, VARIABLES
from certctl_mcp.config.secret_files import OF_VARIABLE, SECRET_VARIABLES
from certctl_mcp.config.settings import Settings

_PREFIX = "CERTCTL_"
_NEAR = 0.85
"""Similarity from which a variable passes for a misspelt one of ours. certctl has many of its own."""

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
    """One line for each. No line holds a value, except for the paths of the database and of `config`."""
    known = (
        *VARIABLES,
        CONFIG_VARIABLE,
        *COMMAND_VARIABLES,
        *(name + OF_VARIABLE for name in SECRET_VARIABLES),
    )
    warnings = []
    for variable in sorted(environ):
        if not variable.upper().startswith(_PREFIX) or variable in known:
            continue
        nearest = get_close_matches(variable.upper(), known, n=1, cutoff=_NEAR)
        if nearest:
            warnings.append(f"the variable {variable} is not used; did you mean {nearest[0]}?")
    if settings.retry_interval == LONGEST:
        warnings.append(
            f"the retry interval counts as {format_duration(LONGEST)}, the longest there is; what is due is "
            "attempted when it is due, whatever the interval"
        )
    url = settings.database_url.get_secret_value()
    path = url.removeprefix(_RELATIVE)
    if url.startswith(_RELATIVE) and not path.startswith("/") and not Path(path).is_absolute():
        warnings.append(
            f"the database path is relative to the working directory: {Path.cwd() / path}; "
            "an absolute path has four slashes after sqlite:"
        )
    files = [("settings file", environ.get(CONFIG_VARIABLE, "").strip() if config is None else str(config))]
    if url.startswith(_RELATIVE):
        files.append(("database", path))
    # What is provided by systemd or Docker is for this service alone, and can't be changed.
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


def _mode_for_others(path: Path) -> int:
    """The mode of a regular file that the group or others may read; otherwise 0."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return 0
    return stat.S_IMODE(mode) if stat.S_ISREG(mode) and mode & 0o044 else 0
