"""`worker`: the loop alone."""

import os
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile, NoMigrate
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode, exit_code_after


def worker(
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Let Prometheus read metrics at this port; 0: any."),
    ] = None,
    metrics_host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="At this address instead of 127.0.0.1.")
    ] = None,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> int:
    """Deliver what is due, until SIGTERM or Ctrl-C. For systemd or a container.

    Attempts under way are then given the grace time to end; a second signal ends at once. Logs go to stderr.
    Metrics are for those with a key, as over HTTP, and beyond this machine only where keys are configured.
    """
    if metrics_host is not None and metrics_port is None:
        raise CommandFailedError(ExitCode.USAGE, "--metrics-host goes with --metrics-port")
    import anyio

    from certctl_mcp.cli.commands.exit_on_error import failures_told
    from certctl_mcp.cli.commands.start_log import start_log
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.http.exposure import require_keys_beyond_loopback

    with failures_told():
        given = {"host": metrics_host or "127.0.0.1", "port": metrics_port}
        options: dict[str, object] = {} if metrics_port is None else {"http": given}
        if no_migrate:
            options["database_migrate"] = False
        settings = load_settings(config, os.environ, **options)
        if metrics_port is not None:
            require_keys_beyond_loopback(settings.http)
        # Only now: importing the worker takes a second, and what forbids to work is told at once.
        from certctl_mcp.cli.worker import run_worker

        start_log(settings, os.environ)
        reason = anyio.run(run_worker, settings, metrics_port is not None)
    return exit_code_after(reason, on_terminal=os.isatty(0))
