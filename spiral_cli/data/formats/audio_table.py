"""Tables of recordings with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.data.tables import part_files, read_table
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("audio_table", needs=("path",), gives="audio", columns=("path", "label"))
def audio_table(settings: Data) -> Raw:
    """Tab- or comma-separated text with a header, or JSON lines: path of a recording (from the table) and label."""
    wanted = {role: settings.columns.get(role, role) for role in ("path", "label")}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(table: Path, wanted: dict[str, str]) -> Arrays:
    """Return the recordings and the labels of a table.

    Raises:
        MissingError: a row without a label, a file that is not there, or no row at all.
    """
    files, labels = [], []
    for line, row in read_table(table, wanted):
        file, label = table.parent / row["path"].strip(), row["label"].strip()
        if not label:
            raise MissingError(f"{table}, line {line}: the label is empty; every recording needs one")
        if not file.is_file():
            raise MissingError(f"{table}, line {line}: there is no file {file}; paths are relative to the table")
        files.append(str(file))
        labels.append(label)
    if not files:
        raise MissingError(f"{table} holds no row")
    return Arrays(np.array(files), np.array(labels))
