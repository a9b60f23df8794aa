"""Tables of text for terminals, and of HTML for notebooks."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

Row = Sequence[str]


def as_text(title: str, head: Row, rows: Sequence[Row], left: Collection[int] = (0,)) -> str:
    """Return a title and a table whose columns are aligned, those of ``left`` at the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *rows)
    )
    return "\n".join([title, *lines])


def as_html(title: str, head: Row, rows: Sequence[Row]) -> str:
    """Return a table whose first column names the rows."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        f"{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        for name, *cells in rows
    )
    return f"<table><caption>{html.escape(title)}</caption><tr>{top}</tr>{body}</table>"
