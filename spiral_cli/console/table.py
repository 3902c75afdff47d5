"""The table of rounds, as wide as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from spiral_cli.console.texts import Row, cells

# What goes first where there is no room: density is 1 - sparsity, the rest is in the run folder.
LEAST_IMPORTANT = ("density", "train loss", "distillation loss", "seconds", "flops left", "parameters left", "drop")
GAP = 1  # blank columns on both sides of a cell, shared between neighbours
STYLES = {"accepted": "green", "rolled back": "red"}


def rounds_table(rows: Sequence[Row], monitor: str, width: int) -> Table:
    """Return every try as a row; headers break into lines, and columns go until ``width`` is kept."""
    texts = [cells(row, monitor) for row in rows]
    columns = fitting(texts, width)
    table = Table(box=SIMPLE_HEAD, padding=(0, GAP), collapse_padding=True, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = name not in ("round", "verdict")
        table.add_column(header(name), justify="right" if numeric else "left", no_wrap=True, vertical="bottom")
    for one in texts:
        table.add_row(*(Text(one[name], style=STYLES.get(one[name], "")) for name in columns))
    return table


def fitting(texts: Sequence[dict[str, str]], width: int) -> list[str]:
    """Return the columns that fit into ``width``."""
    columns = list(texts[0])
    for name in LEAST_IMPORTANT:
        if sum(column_width(column, texts) + 2 * GAP for column in columns) <= width:
            break
        if name in columns:
            columns.remove(name)
    return columns


def column_width(name: str, texts: Sequence[dict[str, str]]) -> int:
    """Return how wide a column's header or cells are."""
    return max(*map(len, header(name).split("\n")), *(len(one[name]) for one in texts))


def header(name: str) -> str:
    """Return a column's header, one word a line."""
    return "" if name == "verdict" else name.replace("distillation", "distil").replace(" ", "\n")
