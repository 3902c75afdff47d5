"""Labelled lines of texts with a column each, in as many tables as the width asks for."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDEST = 30  # of a column; what is longer is folded
GAP = 2


def side_by_side(names: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]], width: int) -> str:
    """Return a table of ``lines`` (a label, and a text for each of ``names``) without colours, at most ``width`` wide.

    Names that do not fit beside each other follow in further tables.
    """
    label = max(len(text) for text, _ in lines)
    widths = [
        min(WIDEST, max(len(text) for text in (name, *(texts[index] for _, texts in lines))))
        for index, name in enumerate(names)
    ]
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    first = 0
    while first < len(names):
        last = first + 1
        while last < len(names) and label + sum(one + GAP for one in widths[first : last + 1]) <= width:
            last += 1
        console.print(table(names[first:last], [(text, texts[first:last]) for text, texts in lines]))
        first = last
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines() if line.strip())


def table(names: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> Table:
    """Return one table: labels, then a column a name."""
    found = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, header_style="")
    found.add_column("", no_wrap=True)
    for name in names:
        found.add_column(name, justify="right", overflow="fold", max_width=WIDEST)
    for label, texts in lines:
        found.add_row(label, *texts)
    return found
