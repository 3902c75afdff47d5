"""Folders of texts, one a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spiral_cli.data.formats.image_folder import find_parts
from spiral_cli.data.image_files import class_folders
from spiral_cli.data.raw import Arrays, Raw, column, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("text_folder", needs=("path",), gives="texts")
def text_folder(settings: Data) -> Raw:
    """Folders of .txt files, one a class; below train, validation, test, or split here."""
    root = root_path(settings)
    folders = (find_parts(root) if root else {}) | own_paths(settings)
    return Raw.of({part: read_part(folder) for part, folder in folders.items()})


def read_part(folder: Path) -> Arrays:
    """Return the texts of a part, with their folders' names as labels.

    Raises:
        MissingError: there are none.
    """
    files = [(file, one.name) for one in class_folders(folder) for file in sorted(one.rglob("*.txt"))]
    if not files:
        raise MissingError(f"{folder} holds no folder with .txt files; there must be one for each class")
    return Arrays(column([read_text(file) for file, _ in files]), np.array([name for _, name in files]))
