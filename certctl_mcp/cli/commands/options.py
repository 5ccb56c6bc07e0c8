"""Which options do commands share? Each is declared once, with its help and its completion."""

from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.commands.completion import complete_channel, complete_id, complete_status, complete_type


def _config_of_program(context: typer.Context, config: Path | None) -> Path | None:
    """The command's own, or the one given before the command."""
    if config is None and context.parent is not None:
        inherited = context.parent.params.get("config")
        return inherited if isinstance(inherited, Path) else None
    return config


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="Settings file (TOML). Variables of the environment come before it.",
        callback=_config_of_program,
    ),
]
NoMigrate = Annotated[
    bool,
    typer.Option(
        "--no-migrate", help="Leave the database's schema as it is; what is there is read at least."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Notifications.", autocompletion=complete_id),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The notification.", autocompletion=complete_id)]

Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="pending, sent, failed, dead or read; may be repeated.",
        autocompletion=complete_status,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Addressed to this channel.", autocompletion=complete_channel),
]
Type = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="Of this type.", autocompletion=complete_type),
]
Certificate = Annotated[str | None, typer.Option(metavar="ID", help="About this certificate.")]
Recipient = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Addressed to this recipient.")]
TextPart = Annotated[
    str | None, typer.Option("--text", metavar="PART", help="With this in the message or the error.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Accepted since: 24h, 7d, 2026-01-31 or 2026-01-31T08:00 (UTC)."),
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Accepted before.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
