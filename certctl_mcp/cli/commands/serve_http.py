"""`serve`: run the server, on stdio (as without a command) or over HTTP."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile, Exclude, NoMigrate, Tools
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode, exit_code_after


def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of on stdio.")] = False,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen on this address instead of 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen on this port instead of 8080; 0 for any.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Certificate (PEM); read again when it changes.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PATH", help="Its private key (PEM).")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Serve only operations that change nothing.")
    ] = False,
    tools: Tools = None,
    exclude: Exclude = None,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> int:
    """Serve MCP, with --http also REST, metrics and the page, and run the retry loop.

    Stops on SIGTERM or Ctrl-C, after a grace period for requests and attempts in flight. With --http, SIGHUP
    reloads the settings. It listens beyond loopback only if keys are configured (CERTCTL_API_KEYS_NAMED).
    """
    from certctl_mcp.cli.commands import serve as stdio

    chosen = stdio.ServeOptions(read_only, tools, exclude, no_migrate)
    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key}
    options = {name: value for name, value in given.items() if value is not None}
    if not http:
        for name in options:
            option = f"--{name.replace('_', '-')}"
            raise CommandFailedError(ExitCode.USAGE, f"{option} is only for HTTP: add --http")
        return stdio.serve(config, chosen)

    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.commands.start_log import start_log
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.http.exposure import require_keys_beyond_loopback
    from certctl_mcp.runtime.event_loop import run

    on_terminal = os.isatty(0)
    with command_failures():
        load = partial(load_settings, config, os.environ, http=options, **chosen.settings())
        settings = load()
        require_keys_beyond_loopback(settings.http)
        # Imported last, because it takes a second or two, and wrong settings should be reported at once.
        from certctl_mcp.http.serving import serve_http
        from storage.database import backend_for

        # The server waits for a database that is unavailable, but not for one that can never be used.
        backend_for(settings.database_url.get_secret_value())
        start_log(settings, os.environ, config)
        reason = run(serve_http, settings, load)
    return exit_code_after(reason, on_terminal=on_terminal)
