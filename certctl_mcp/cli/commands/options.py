"""The options that commands share, each declared once with its help and completion."""

from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_id
from certctl_mcp.config.tool_groups import ToolGroup


def _config_of_program(context: typer.Context, config: Path | None) -> Path | None:
    """The command's own option, or the one given before the command."""
    if config is None and context.parent is not None:
        inherited = context.parent.params.get("config")
        return inherited if isinstance(inherited, Path) else None
    return config


def _no_migrate_of_program(context: typer.Context, no_migrate: bool) -> bool:
    """Whether it is given for the command or before it."""
    return no_migrate or (context.parent is not None and bool(context.parent.params.get("no_migrate")))


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="Settings file (TOML). Environment variables override it.",
        callback=_config_of_program,
    ),
]
NoMigrate = Annotated[
    bool,
    typer.Option(
        "--no-migrate",
        help="Don't change the database's schema. If the schema is incomplete, the queue can only be read.",
        callback=_no_migrate_of_program,
    ),
]
Tools = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help=f"Serve only these tools, by name or group ({', '.join(ToolGroup)}), separated by commas.",
    ),
]
Exclude = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Don't serve these tools or groups of tools.")
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Notifications.", autocompletion=complete_id),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The notification.", autocompletion=complete_id)]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show how many would be changed, and change nothing.")
]
