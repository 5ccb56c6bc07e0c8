"""The demo's output: line by line as it happens, at most 80 columns wide."""

import os
import sys
import time
from collections.abc import Sequence

import anyio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from certctl_mcp.demo.ledger import Arrival
from certctl_mcp.demo.proof import Finding

_WIDEST, _NARROWEST = 80, 40
_INDENT = "  "
_BREATH = 0.5
"""Seconds of pause for a reader before each call, on a terminal only."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader has closed the pipe. The exit code still reports the result."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Narrator:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False, markup=False)
        self._console.width = max(min(self._console.width, _WIDEST), _NARROWEST)
        self._began = time.monotonic()
        self._held: list[tuple[Arrival, float]] | None = None

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(text, style="bold")

    def narrate(self, text: str, style: str = "") -> None:
        self._print_wrapped(Text(_INDENT), Text(text, style))

    def arrival(self, arrival: Arrival) -> None:
        if self._held is None:
            self._print_arrival(arrival, time.monotonic())
        else:
            self._held.append((arrival, time.monotonic()))

    def hold_arrivals(self) -> None:
        """Hold back arrivals until `show_arrivals`."""
        self._held = []

    def show_arrivals(self) -> None:
        """Print the arrivals that were held back, and all later ones."""
        held, self._held = self._held or (), None
        for arrival, moment in held:
            self._print_arrival(arrival, moment)

    def queue(self, what: str, style: str = "") -> None:
        self._print_event("queue", what, style, time.monotonic())

    async def call(self, tool: str, arguments: str) -> None:
        if self._console.is_terminal:
            await anyio.sleep(_BREATH)
        self._console.print()
        self._print_wrapped(Text(f"{_INDENT}> "), Text.assemble((tool, "bold"), " ", arguments))

    def answer(self, excerpt: str) -> None:
        self._print_wrapped(Text(_INDENT * 2), Text(excerpt, "dim"))

    def findings(self, findings: Sequence[Finding]) -> None:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("alert")
        table.add_column("receiver")
        table.add_column("tries", justify="right")
        table.add_column("taken", justify="right")
        table.add_column("idempotency key")
        table.add_column("result")
        for finding in findings:
            table.add_row(
                finding.alert.certificate_id,
                finding.alert.channel,
                str(len(finding.arrivals)),
                str(finding.accepted),
                _key(finding),
                _result(finding),
            )
        self._console.print(table)

    def failure(self, problems: Sequence[str], log: str) -> None:
        """Report what went wrong, and the server's log."""
        self.title("The demo failed")
        for problem in problems:
            self.narrate(problem, "red")
        if log:
            self.narrate("The server's log:")
            for line in log.splitlines():
                self._print_wrapped(Text(_INDENT * 2), Text(line, "dim"))

    def _print_arrival(self, arrival: Arrival, moment: float) -> None:
        style = "green" if arrival.accepted else "yellow"
        self._print_event(arrival.receiver, arrival.answer, style, moment)

    def _print_event(self, who: str, what: str, style: str, moment: float) -> None:
        seconds = f"{moment - self._began:.1f} s"
        self._print_wrapped(
            Text.assemble((f"{seconds:>7}  ", "dim"), (f"{who:<10} ", "bold")), Text(what, style)
        )

    def _print_wrapped(self, start: Text, text: Text) -> None:
        """Wrapped, with every line after the first indented by the width of `start`."""
        for line in text.wrap(self._console, self._console.width - len(start)):
            line.rstrip()
            self._console.print(Text.assemble(start, line), soft_wrap=True)
            start = Text(" " * len(start))


def _key(finding: Finding) -> str:
    """The key's name and its last characters; all keys begin alike, because they are ordered by time."""
    if not finding.keys:
        return "(none sent)"
    name = next(arrival.key_name for arrival in finding.arrivals if arrival.key)
    return f"{name} {' '.join(f'..{key[-6:]}' for key in sorted(finding.keys))}"


def _result(finding: Finding) -> Text:
    if finding.problem:
        return Text(finding.problem, "red")
    return Text("delivered", "green") if finding.alert.delivered else Text("refused", "yellow")
