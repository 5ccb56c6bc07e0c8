"""`demo`: watch the queue at work without configuring anything."""

from certctl_mcp.cli.terminal.exit_codes import CommandFailedError, ExitCode


def demo() -> int:
    """Watch the queue at work.

    Alerts are delivered, retried, moved to the dead-letter queue and requeued, using receivers on this
    machine.
    """
    from certctl_mcp.demo import DemoResult, DemoUnavailableError, run_demo

    codes = {
        DemoResult.PROVEN: ExitCode.DONE,
        DemoResult.DISPROVEN: ExitCode.NOT_DONE,
        DemoResult.INTERRUPTED: ExitCode.INTERRUPTED,
    }
    try:
        return codes[run_demo()]
    except DemoUnavailableError as unavailable:
        raise CommandFailedError(ExitCode.NOT_DONE, str(unavailable)) from None
