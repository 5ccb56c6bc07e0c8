"""Printing: tables that fit the terminal, JSON for programs, and untrusted text made harmless.

Text from senders and receivers could control the terminal or imitate another row, so it is escaped, kept on
one line, and never interpreted as markup.
"""

import sys
from datetime import datetime, timedelta

from pydantic import BaseModel, RootModel
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from certctl_mcp.cli.terminal.formats import Format
from certctl_mcp.services.next_steps import moment
from certctl_mcp.text.untrusted import NAME_LENGTH, clean_excerpt, escape_hidden
from storage.models import Notification

UNCUT = 100_000
"""The width of an output that is not a terminal: a row is one line of any length."""

STATUS_STYLES = {"pending": "cyan", "sent": "green", "failed": "yellow", "dead": "red", "read": "dim"}

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))


def output() -> Console:
    """stdout; unless it is a terminal, nothing is cut or wrapped."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else UNCUT)


def print_json(document: BaseModel | Notification, form: Format = Format.JSON) -> None:
    """A complete document in ASCII, so that it can't control a terminal."""
    indent = None if form is Format.NDJSON else 2
    print(RootModel(document).model_dump_json(indent=indent, ensure_ascii=True))


def print_all(*parts: RenderableType) -> None:
    """Print to stdout. In a pipe or a file, no line has trailing spaces."""
    console = output()
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    with console.capture() as printed:
        for part in parts:
            console.print(part)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def table(*headings: str) -> Table:
    """Columns with headings. On a narrow terminal the last one is shortened."""
    terminal = sys.stdout.isatty()
    box = SIMPLE_HEAD if terminal else None
    made = Table(box=box, show_edge=False, pad_edge=False, header_style="bold", expand=terminal)
    for heading in headings[:-1]:
        made.add_column(heading, no_wrap=True, overflow="fold")
    made.add_column(headings[-1], no_wrap=True, overflow="ellipsis", ratio=1 if terminal else None)
    return made


def key_value_table() -> Table:
    """Two columns without headings: a name and its value."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    return made


def one_line(text: str | None, limit: int = NAME_LENGTH) -> Text:
    """A text from outside on one line, cut at `limit` characters."""
    if not text:
        return Text("-", style="dim")
    found = clean_excerpt(" ".join(text.split()), limit)
    return Text(found.text + "…" if found.cut else found.text)


def multiline(text: str) -> Text:
    """A text from outside with its line breaks."""
    return Text(clean_excerpt(text, len(text)).text)


def identifier(notification_id: str) -> Text:
    """An id as it can be copied into the next command."""
    return Text(escape_hidden(notification_id).replace("\n", "\\n").replace("\t", "\\t"))


def status_text(status: str) -> Text:
    return Text(status, style=STATUS_STYLES.get(status, ""))


def when(then: datetime | None, now: datetime) -> Text:
    """A point in time and its distance from `now`."""
    if then is None:
        return Text("-", style="dim")
    return Text(f"{moment(then)} ({distance(then, now)})")


def distance(then: datetime, now: datetime) -> str:
    """In the largest unit that fits: `3h ago`, `in 2m`."""
    span = age(abs(now - then))
    return f"in {span}" if then > now else f"{span} ago"


def age(span: timedelta) -> str:
    for name, unit in _UNITS:
        if span >= unit:
            return f"{span // unit}{name}"
    return f"{int(span.total_seconds())}s"
