"""The program `certctl-mcp`: a server on stdio when no command is given, as MCP hosts launch it.

A host waits for the server to start, so modules that only commands need are imported later.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode
from certctl_mcp.runtime.gc_tuning import tune_for_startup

PROGRAM = "certctl-mcp"

_COMPLETE = "_CERTCTL_MCP_COMPLETE"
"""Set by a shell that runs the program without arguments to get completions."""


def main() -> None:
    tune_for_startup()
    code = run(sys.argv[1:])
    _flush_standard_streams()
    sys.exit(code)


def _flush_standard_streams() -> None:
    """If nobody reads them any more, as after `| head` or on a closed terminal, Python's own flush at exit
    would report an error."""
    for stream, unread in ((sys.stdout, BrokenPipeError), (sys.stderr, OSError)):
        try:
            stream.flush()
        except unread:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return its exit code. Problems go to stderr, one per line."""
    try:
        options = None if _COMPLETE in os.environ else _server_options(arguments)
        return _command(arguments) if options is None else _serve(options)
    except CommandFailedError as failure:
        print_problems(*failure.problems)
        return failure.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def print_problems(*problems: str) -> None:
    """Print each on a line of stderr. They may contain text from outside."""
    from certctl_mcp.text.untrusted import escape_hidden

    for problem in problems:
        print(f"{PROGRAM}: {escape_hidden(' '.join(problem.split()))}", file=sys.stderr)


class _ServerOptions(argparse.Namespace):
    config: Path | None
    read_only: bool
    tools: str | None
    exclude: str | None
    no_migrate: bool


def _server_options(arguments: Sequence[str]) -> _ServerOptions | None:
    """The server's options. None for anything else, which is left to Typer, because that is slow to
    import."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--tools")
    parser.add_argument("--exclude")
    parser.add_argument("--no-migrate", action="store_true")
    try:
        options, others = parser.parse_known_args(arguments, _ServerOptions())
    except argparse.ArgumentError:
        return None
    return None if others else options


def _serve(options: _ServerOptions) -> int:
    from certctl_mcp.cli.commands.serve import ServeOptions, serve

    chosen = ServeOptions(options.read_only, options.tools, options.exclude, options.no_migrate)
    return serve(options.config, chosen)


def _command(arguments: Sequence[str]) -> int:
    import typer

    from certctl_mcp.cli.commands.app import app

    try:
        # A command returns its exit code; the program's own options return none.
        return app(arguments, prog_name=PROGRAM, standalone_mode=False) or ExitCode.DONE
    except typer.TyperException as refused:
        context = getattr(refused, "ctx", None)
        command = PROGRAM if context is None else context.command_path
        # It may quote Pydantic.
        problem = refused.format_message().replace("Value error, ", "")
        problem = problem.replace("Input should", "must").replace("String should", "must")
        print_problems(f"{problem.removesuffix('.')}; see {command} --help")
        return ExitCode.USAGE
    except typer.Abort:
        return ExitCode.INTERRUPTED
