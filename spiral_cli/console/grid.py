"""Tables of numbers for a terminal, a pipe or a log: every column but the first flushed right."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spiral_cli.console.table import header

NARROW = 80


def grid(rows: Sequence[Mapping[str, str]], title: str = "", width: int = NARROW) -> str:
    """Return rows of texts as a table without colours; headers break into lines of one word.

    Args:
        rows: the same columns in each.
        title: a line above.
        width: of the whole; where the rows need more, their first column is folded.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(
            header(name),
            justify="right" if number else "left",
            no_wrap=bool(number),
            overflow="fold",
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    drawn = io.StringIO()
    Console(file=drawn, width=width, color_system=None, highlight=False).print(table)
    lines = [line.rstrip() for line in drawn.getvalue().splitlines()]
    return "\n".join([*([title] if title else []), *(line for line in lines if line)])
