"""The exit codes, and the error that ends a command with an exit code and a line for each problem."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes that `certctl-mcp --help` documents."""

    DONE = 0
    NOT_DONE = 1
    """There is no such notification, its state does not allow the action, or the operator declined."""
    USAGE = 2
    """An argument or a setting is wrong."""
    DATABASE = 3
    """The database can't be used; the same call may succeed later."""
    OUTDATED = 4
    """The database was migrated by a newer version of this program, so only an upgrade helps."""
    INTERRUPTED = 130


class CommandFailedError(Exception):
    """Ends the command. Each of `problems` is printed on a line."""

    def __init__(self, code: ExitCode, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.code = code
        self.problems = problems


def exit_code_after(reason: str | None, *, on_terminal: bool) -> ExitCode:
    """The exit code of a server that has shut down gracefully. Only Ctrl-C in a terminal counts as an
    interruption."""
    return ExitCode.INTERRUPTED if reason == "SIGINT" and on_terminal else ExitCode.DONE
