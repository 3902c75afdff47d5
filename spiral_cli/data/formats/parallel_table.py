"""Tables of sentences and their translations."""

from __future__ import annotations

from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.tables import part_files, read_table
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("parallel_table", needs=("path",), gives="pairs", columns=("source", "target"))
def parallel_table(settings: Data) -> Raw:
    """Tab- or comma-separated text with a header, or JSON lines: train.tsv, … with source and target."""
    wanted = {role: settings.columns.get(role, role) for role in ("source", "target")}
    parts = {}
    for part, path in part_files(settings).items():
        rows = [row for _, row in read_table(path, wanted)]
        if not rows:
            raise MissingError(f"{path} holds no row")
        parts[part] = Arrays(column([row["source"] for row in rows]), column([row["target"] for row in rows]))
    return Raw.of(parts)
