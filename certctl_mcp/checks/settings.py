"""Checks of the settings: where they come from, misspelt variables, placeholders and weak keys."""

from collections import Counter
from collections.abc import Iterator, Mapping

from certctl_mcp.checks.results import CheckResult, fail, ok, warn
from certctl_mcp.config.api_keys import is_weak
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.placeholder_secrets import is_placeholder
from certctl_mcp.config.settings import Settings
from certctl_mcp.config.sources import Source, effective_settings
from certctl_mcp.config.warnings import implausible_values, misspelt_variables, placeholder_problems

NAME = "settings"


def settings_failures(error: SettingsError, environ: Mapping[str, str]) -> tuple[CheckResult, ...]:
    """A failed check for each setting that is wrong, and the checks that need no settings."""
    wrong = (fail(NAME, problem, "correct it: until then nothing can start") for problem in error.problems)
    return (*wrong, *_misspelt(environ))


async def check_settings(settings: Settings) -> tuple[CheckResult, ...]:
    return (
        ok(NAME, _sources(settings)),
        *_misspelt(settings.origin.environ),
        *(
            fail(NAME, f"{name} is still a placeholder, such as change-me or XXXX", remedy)
            for name, remedy in placeholder_problems(settings)
        ),
        *(warn(NAME, problem) for problem in implausible_values(settings)),
        *_weak_keys(settings),
    )


def _sources(settings: Settings) -> str:
    listed = list(effective_settings(settings))
    counts = Counter(setting.source for setting in listed)
    parts = []
    environ = settings.origin.environ
    if variables := [
        setting.variable for setting in listed if environ.get(setting.variable or "", "").strip()
    ]:
        parts.append(f"from the environment: {', '.join(map(str, variables))}")
    if counts[Source.SETTINGS_FILE]:
        read = (setting.key for setting in listed if setting.source is Source.SETTINGS_FILE)
        # The file usually has all settings of a channel, so only its table is named.
        keys = dict.fromkeys(key.rpartition(".")[0] if key.startswith("channels.") else key for key in read)
        parts.append(f"from {settings.origin.path}: {', '.join(keys)}")
    if counts[Source.FILE]:
        secrets = ", ".join(setting.key for setting in listed if setting.source is Source.FILE)
        parts.append(f"from secret files: {secrets}")
    if counts[Source.COMMAND_LINE]:
        parts.append(f"from the command line: {counts[Source.COMMAND_LINE]}")
    return "; ".join([*parts, f"everything {'else ' if parts else ''}is at its default"])


def _misspelt(environ: Mapping[str, str]) -> Iterator[CheckResult]:
    for problem in misspelt_variables(environ):
        yield warn(NAME, problem, "it has no effect; `certctl-mcp config` lists all variables")


def _weak_keys(settings: Settings) -> Iterator[CheckResult]:
    for key in settings.http.keys:
        if is_weak(key) and not is_placeholder(key.key.get_secret_value()):
            yield warn(
                NAME,
                f"the API key of {key.name} is easy to guess",
                "use one of `openssl rand -hex 32`",
            )
