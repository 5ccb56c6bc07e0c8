"""`backup`: copy a SQLite database to a new file while servers and workers use it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.cli.terminal.formats import Format


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to create; it must not exist.")],
    json: Format = Format.TEXT,
    config: ConfigFile = None,
) -> int:
    """Back up the SQLite database to a new file, even while it is in use.

    The backup contains everything that was accepted before it began. A restored backup sends again what was
    delivered after it was made; docs/backup.md explains how to prevent that. For PostgreSQL, use pg_dump.
    """
    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.terminal.documents import Backup
    from certctl_mcp.cli.terminal.output import print_json
    from certctl_mcp.config.settings import load_settings
    from storage.maintenance import backup as maintenance

    with command_failures():
        url = load_settings(config, os.environ).database_url.get_secret_value()
        try:
            done = maintenance.backup(url, file)
        except maintenance.BackupRefusedError as refusal:
            raise CommandFailedError(ExitCode.USAGE, str(refusal)) from refusal
    if json:
        document = Backup(
            database=done.location, file=str(done.file), notifications=done.notifications, bytes=done.size
        )
        print_json(document, json)
    else:
        print(f"{done.file}: {done.notifications} notifications, {done.size} bytes, from {done.location}")
    return ExitCode.DONE
