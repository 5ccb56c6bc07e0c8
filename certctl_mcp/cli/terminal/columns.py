"""Text in columns, for output that may be piped: no line has trailing spaces, and none is cut."""

from collections.abc import Sequence

from rich.text import Text


def columns(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[Text]:
    """The headings and the rows, one per line. Every column but the last is as wide as its widest cell."""
    table = [[Text(heading) for heading in headings], *rows]
    widths = [max(row[column].cell_len for row in table) for column in range(len(headings) - 1)]
    lines: list[Text] = []
    for row in table:
        for cell, width in zip(row, widths, strict=False):
            cell.pad_right(width - cell.cell_len)
        lines.append(Text("  ").join(row))
    lines[0].stylize("bold")
    return lines
