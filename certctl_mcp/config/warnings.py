"""What is suspicious in the configuration, though a process can start with it."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from certctl_mcp.config.environment import CONFIG_VARIABLE, VARIABLES
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


def configuration_warnings(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """One line for each. No line holds a value, except for the path of the database."""
    known = (*VARIABLES, CONFIG_VARIABLE, *(f"{name}_FILE" for name in VARIABLES))
    warnings = []
    for variable in sorted(environ):
        if not variable.upper().startswith(_PREFIX) or variable in known:
            continue
        nearest = get_close_matches(variable.upper(), known, n=1, cutoff=_NEAR)
        if nearest:
            warnings.append(f"the variable {variable} is not used; did you mean {nearest[0]}?")
    url = settings.database_url.get_secret_value()
    path = url.removeprefix(_RELATIVE)
    if url.startswith(_RELATIVE) and not path.startswith("/") and not Path(path).is_absolute():
        warnings.append(
            f"the database path is relative to the working directory: {Path.cwd() / path}; "
            "an absolute path has four slashes after sqlite:"
        )
    return tuple(warnings)
