"""Tables of recordings with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spiral_cli.data.audio import Excerpt
from spiral_cli.data.excerpts import read_rows
from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.tables import part_files
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

COLUMNS = {"path": "path", "label": "label"}


@datasets.register("audio_table", needs=("path",), gives="audio", columns=("path", "label", "offset", "duration"))
def audio_table(settings: Data) -> Raw:
    """TSV or CSV with a header, or JSON lines: path of a recording (from the table), label, offset, duration."""
    wanted = {**COLUMNS, **settings.columns}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(table: Path, wanted: Mapping[str, str]) -> Arrays:
    """Return the recordings and the labels of a table.

    Raises:
        MissingError: a row without a label, or as `read_rows`.
    """
    heard, labels = [], []
    for row in read_rows(table, wanted, "path"):
        if not (label := row.fields["label"].strip()):
            raise MissingError(f"{row.place}: the label is empty; every recording needs one")
        heard.append(Excerpt(str(row.file), row.cut))
        labels.append(label)
    return Arrays(column(heard), np.array(labels))
