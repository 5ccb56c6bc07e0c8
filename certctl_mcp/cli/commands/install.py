"""`install`: add this server to the configuration of an MCP host."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile
from certctl_mcp.cli.hosts.configuration import (
    NAME,
    HostConfigurationError,
    entry,
    render_entry,
    uninstall,
)
from certctl_mcp.cli.hosts.configuration import install as install_entry
from certctl_mcp.cli.hosts.locations import Host, location
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.runtime.platform import PROGRAM_SUFFIX


def install(
    host: Annotated[Host, typer.Argument(help="The host that should launch the server.")],
    print_: Annotated[
        bool, typer.Option("--print", help="Print the file's path and the entry, and change nothing.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the entry again.")] = False,
    config: ConfigFile = None,
) -> int:
    """Add this server to the configuration of an MCP host.

    Everything else in the host's file stays unchanged. Restart the host afterwards. Put secrets in the
    settings file that --config names rather than in the host's file.
    """
    place = location(host, Path.home(), Path.cwd())
    given = entry(place, [*program(), *(() if config is None else ("--config", str(config.resolve())))])
    if print_:
        typer.echo(f"{place.file}:\n{render_entry(place, given)}")
        return ExitCode.DONE
    try:
        changed = uninstall(place) if undo else install_entry(place, given)
    except HostConfigurationError as refused:
        hint = "" if undo else f"; add this to it yourself:\n{render_entry(place, given)}"
        raise CommandFailedError(ExitCode.NOT_DONE, f"{refused}{hint}") from None
    if undo:
        typer.echo(f"{'removed' if changed else 'no'} {NAME} {'from' if changed else 'in'} {place.file}")
    else:
        what = f"added {NAME} to" if changed else f"{NAME} is already in"
        typer.echo(f"{what} {place.file}; restart {host.value}")
    return ExitCode.DONE


def program() -> tuple[str, ...]:
    """The command that starts this program independently of PATH, which hosts often don't pass on."""
    beside = Path(sys.executable).parent / f"certctl-mcp{PROGRAM_SUFFIX}"
    if beside.exists():
        return (str(beside),)
    if (found := shutil.which("certctl-mcp")) is not None:
        return (str(Path(found).resolve()),)
    return (sys.executable, "-m", "certctl_mcp")
