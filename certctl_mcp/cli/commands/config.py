"""`config`: every setting, its value and its source."""

import os
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import ExitCode
from certctl_mcp.cli.terminal.formats import Format


def config_(
    changed: Annotated[
        bool, typer.Option("--changed", help="Show only settings that are not at their default.")
    ] = False,
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """List all settings: variable, value, source and meaning.

    Secrets are masked. docs/settings.md has the same list.
    """
    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.terminal.effective_settings import Configuration, setting_lines
    from certctl_mcp.cli.terminal.output import print_all, print_json
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.config.sources import Source, effective_settings
    from certctl_mcp.text.untrusted import escape_hidden

    with command_failures():
        settings = load_settings(config, os.environ)
    listed = tuple(
        setting
        for setting in effective_settings(settings)
        if not changed or setting.source is not Source.DEFAULT
    )
    path = settings.origin.path
    if json is Format.NDJSON:
        for setting in listed:
            print_json(setting, json)
    elif json:
        print_json(Configuration(settings_file=path and str(path), settings=listed), json)
    else:
        file = "none" if path is None else escape_hidden(str(path.expanduser().resolve()))
        print_all(f"Settings file: {file}", "", *setting_lines(listed))
    return ExitCode.DONE
