"""`worker`: the loop alone."""

import os

from certctl_mcp.commands.failures import ExitCode
from certctl_mcp.commands.options import ConfigFile


def worker(config: ConfigFile = None) -> int:
    """Deliver what is due, until SIGTERM or Ctrl-C. For systemd or a container.

    Attempts under way are then given the grace time to end; a second signal ends at once. Logs go to stderr.
    """
    import anyio

    from certctl_mcp.commands.telling import failures_told
    from certctl_mcp.log_lines import log_to_stderr
    from certctl_mcp.settings import load_settings
    from certctl_mcp.worker import run_worker

    with failures_told():
        settings = load_settings(config, os.environ)
        log_to_stderr(settings.log_level)
        anyio.run(run_worker, settings)
    return ExitCode.DONE
