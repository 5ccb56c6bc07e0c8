"""The exit codes, and the error that ends a command with one of them and a line for each problem."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script learns; `certctl-mcp --help` says the same."""

    DONE = 0
    NOT_DONE = 1
    """The notification is not there, its state does not allow it, or the operator declined."""
    USAGE = 2
    """An argument or a setting is wrong."""
    DATABASE = 3
    """The database can't be used; the same call may succeed later."""
    INTERRUPTED = 130


class CommandFailedError(Exception):
    """Ends the command. `problems` are told to the operator, a line each."""

    def __init__(self, code: ExitCode, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.code = code
        self.problems = problems
