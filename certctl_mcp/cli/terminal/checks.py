"""The output of `doctor`: one or two lines for each check."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from certctl_mcp.checks.results import CheckReport, Verdict
from certctl_mcp.text.untrusted import escape_hidden

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}

_INDENT = 6


def check_lines(report: CheckReport) -> Iterator[RenderableType]:
    for check in report.checks:
        line = Text(f"{check.verdict:<{_INDENT}}", style=_STYLES[check.verdict])
        line.append(f"{check.name}: ", style="bold").append(
            escape_hidden(check.found), style="not bold default"
        )
        yield line
        if check.help is not None:
            yield Padding(Text(f"-> {escape_hidden(check.help)}"), (0, 0, 0, _INDENT), expand=False)
    good = len(report.checks) - report.failed - report.warned
    yield Text(f"\n{good} ok, {report.warned} with warnings, {report.failed} failed")
