"""Tables of texts with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.tables import part_files, read_table
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("text_table", needs=("path",), gives="texts", columns=("text", "label"))
def text_table(settings: Data) -> Raw:
    """Tab- or comma-separated text with a header, or JSON lines: train.tsv, test.tsv, … with label and text."""
    wanted = {role: settings.columns.get(role, role) for role in ("text", "label")}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(path: Path, wanted: dict[str, str]) -> Arrays:
    """Return the texts and the labels of a file."""
    rows = list(read_table(path, wanted))
    for line, row in rows:
        if not row["label"].strip():
            raise MissingError(f"{path}, line {line}: the label is empty; every text needs one")
    if not rows:
        raise MissingError(f"{path} holds no row")
    return Arrays(column([row["text"] for _, row in rows]), np.array([row["label"].strip() for _, row in rows]))
