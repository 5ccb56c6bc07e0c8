"""Without a command: serve the Model Context Protocol on stdio, and run the retry loop."""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio

from certctl_mcp.cli.commands.exit_on_error import command_failures
from certctl_mcp.cli.commands.start_log import start_log
from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode, exit_code_after
from certctl_mcp.config.settings import load_settings
from certctl_mcp.config.tool_groups import parse_tools

_CLEAN_UP = timedelta(seconds=5)
"""The time to close the database after the grace period of attempts in flight."""

_WAITING = """\
certctl-mcp is waiting for an MCP client on stdin. Hosts such as Claude
Desktop or VS Code start it themselves; add this to the host's configuration:

  {"mcpServers": {"certctl-notifications": {"command": "certctl-mcp"}}}

For use in a terminal see certctl-mcp --help. Press Ctrl-C to stop."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The command line's options for serving. They override the settings."""

    read_only: bool = False
    tools: str | None = None
    exclude: str | None = None
    no_migrate: bool = False

    def settings(self) -> dict[str, object]:
        """The settings for these options. Raises: CommandFailedError: a tool or group is unknown."""
        options: dict[str, object] = {"read_only": True} if self.read_only else {}
        if self.no_migrate:
            options["database_migrate"] = False
        for name, names in (("tools", self.tools), ("exclude", self.exclude)):
            if names is not None:
                try:
                    options[name] = parse_tools(names)
                except ValueError as wrong:
                    raise CommandFailedError(ExitCode.USAGE, f"--{name}={names!r}: {wrong}") from None
        return options


def serve(config: Path | None, chosen: ServeOptions) -> int:
    """Serve until the host disconnects. stdout belongs to the protocol; everything else goes to stderr.

    Raises:
        CommandFailedError: the settings can't be used.
    """
    on_terminal = os.isatty(0)
    with command_failures():
        load = partial(load_settings, config, os.environ, **chosen.settings())
        settings = load()
        if on_terminal:
            print(_WAITING, file=sys.stderr)
        # Imported last, because it takes most of a second, and wrong settings should be reported at once.
        from certctl_mcp.mcp_server.server import build_server
        from certctl_mcp.mcp_server.stdio import serve_stdio

        start_log(settings, os.environ, config)
        server = build_server(settings, load=load)
        reason = anyio.run(partial(serve_stdio, server, end_within=settings.shutdown_grace + _CLEAN_UP))
    return exit_code_after(reason, on_terminal=on_terminal)
