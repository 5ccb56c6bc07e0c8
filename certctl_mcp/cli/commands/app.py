"""The commands, each declared in its own file, and the options of the program itself."""

from typing import Annotated

import typer

from certctl_mcp import __version__
from certctl_mcp.cli.commands import (
    audit,
    backup,
    channels,
    config,
    copy,
    demo,
    diagnose,
    doctor,
    init,
    install,
    listing,
    migrate,
    pausing,
    purge,
    read,
    report,
    requeue,
    send,
    serve_http,
    show,
    summary,
    try_channel,
    watch,
    worker,
)
from certctl_mcp.cli.commands.options import ConfigFile, Exclude, NoMigrate, Tools
from certctl_mcp.cli.commands.output import output_options
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode

_EPILOG = """\
\b
Exit codes:
    0  done
    1  something could not be done: not found, wrong state, declined
    2  an argument or a setting is wrong; nothing was changed
    3  the database can't be used now
    4  the database needs a newer version of this program
  130  interrupted

\b
Settings come from environment variables (CERTCTL_DATABASE_URL and others), then from
the file that --config or CERTCTL_CONFIG names, then from the defaults.
`certctl-mcp config` lists them all; docs/settings.md has the same list.
"""

app = typer.Typer(
    help="A durable notification queue for certificate alerts, with retries and dead letters.\n\n"
    "Without a command, it serves the Model Context Protocol on stdio, which is how MCP hosts launch it.",
    epilog=_EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (
    serve_http.serve,
    worker.worker,
    send.send,
    listing.list_,
    show.show,
    requeue.requeue,
    read.read,
    purge.purge,
    summary.summary,
    channels.channels,
    pausing.pause,
    pausing.resume,
    diagnose.diagnose,
    report.report,
    audit.audit,
    watch.watch,
    migrate.migrate,
    backup.backup,
    copy.copy,
    demo.demo,
    init.init,
    install.install,
    config.config_,
    doctor.doctor,
):
    app.command(command.__name__.rstrip("_"))(output_options(command))
app.command("test")(output_options(try_channel.try_channel))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"certctl-mcp {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def program(
    context: typer.Context,
    config: ConfigFile = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Serve only tools that change nothing.")
    ] = False,
    tools: Tools = None,
    exclude: Exclude = None,
    no_migrate: NoMigrate = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> int | None:
    if context.invoked_subcommand is None:
        from certctl_mcp.cli.commands import serve

        return serve.serve(config, serve.ServeOptions(read_only, tools, exclude, no_migrate))
    if read_only or tools is not None or exclude is not None:
        raise CommandFailedError(
            ExitCode.USAGE,
            "--read-only, --tools and --exclude are for serving, not for commands",
        )
    return None
