"""`worker`: deliver, and nothing else."""

import os
from functools import partial
from typing import Annotated

import typer

from certctl_mcp.cli.commands.options import ConfigFile, NoMigrate
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode, exit_code_after


def worker(
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve metrics for Prometheus on this port; 0 for any."),
    ] = None,
    metrics_host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Serve metrics on this address instead of 127.0.0.1."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Attempt what is due now, then exit; for cron.")
    ] = False,
    no_migrate: NoMigrate = False,
    config: ConfigFile = None,
) -> int:
    """Deliver what is due until SIGTERM or Ctrl-C, under systemd or in a container.

    Attempts in flight then get a grace period to finish; a second signal ends the process at once. SIGHUP
    reloads the settings. Logs go to stderr. Metrics require a key if keys are configured, as over HTTP;
    without keys they are served on loopback only.
    """
    if metrics_host is not None and metrics_port is None:
        raise CommandFailedError(ExitCode.USAGE, "--metrics-host needs --metrics-port")
    if once and metrics_port is not None:
        raise CommandFailedError(ExitCode.USAGE, "--once exits too soon for --metrics-port")
    from certctl_mcp.cli.commands.exit_on_error import command_failures
    from certctl_mcp.cli.commands.start_log import start_log
    from certctl_mcp.config.settings import load_settings
    from certctl_mcp.http.exposure import require_keys_beyond_loopback
    from certctl_mcp.runtime.event_loop import run

    with command_failures():
        given = {"host": metrics_host or "127.0.0.1", "port": metrics_port}
        options: dict[str, object] = {} if metrics_port is None else {"http": given}
        if no_migrate:
            options["database_migrate"] = False
        load = partial(load_settings, config, os.environ, **options)
        settings = load()
        if metrics_port is not None:
            require_keys_beyond_loopback(settings.http)
        # Imported last, because it takes a second, and wrong settings should be reported at once.
        from certctl_mcp.cli.worker import run_worker

        start_log(settings, os.environ, config)
        reason = run(run_worker, settings, load, metrics_port is not None, once)
    return exit_code_after(reason, on_terminal=os.isatty(0))
