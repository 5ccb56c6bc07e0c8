"""`demo`: see the queue at work without configuring anything."""

from certctl_mcp.cli.terminal.exit_codes import ExitCode


def demo() -> int:
    """Watch the queue at work.

    Alerts are delivered, retried, given up and requeued, against receivers on this machine.
    """
    from certctl_mcp.demo import run_demo

    return run_demo() or ExitCode.DONE
