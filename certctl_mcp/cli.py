"""The program `certctl-mcp`: a server on stdio when no command is given, as MCP hosts launch it.

A host waits for the server to start, so nothing that only commands need is imported on that way.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from certctl_mcp.commands.failures import CommandFailedError, ExitCode

PROGRAM = "certctl-mcp"

_COMPLETE = "_CERTCTL_MCP_COMPLETE"
"""With it set, a shell calls the program without arguments and wants completions."""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what `arguments` say and give the exit code. What goes wrong is told on stderr, a line each."""
    try:
        if _COMPLETE not in os.environ:
            match arguments:
                case []:
                    return _serve(None)
                case ["--config", path]:
                    return _serve(Path(path))
        return _command(arguments)
    except CommandFailedError as failure:
        tell(*failure.problems)
        return failure.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def tell(*problems: str) -> None:
    """A line on stderr for each. They may quote what came from outside."""
    from certctl_mcp.untrusted import escaped

    for problem in problems:
        print(f"{PROGRAM}: {escaped(' '.join(problem.split()))}", file=sys.stderr)


def _serve(config: Path | None) -> int:
    from certctl_mcp.commands.serve import serve

    return serve(config)


def _command(arguments: Sequence[str]) -> int:
    import typer

    from certctl_mcp.commands.app import app

    try:
        # A command gives its exit code; the program's own options end without one.
        return app(arguments, prog_name=PROGRAM, standalone_mode=False) or ExitCode.DONE
    except typer.TyperException as refused:
        tell(f"{refused.format_message().removesuffix('.')}; see {PROGRAM} --help")
        return ExitCode.USAGE
    except typer.Abort:
        return ExitCode.INTERRUPTED
