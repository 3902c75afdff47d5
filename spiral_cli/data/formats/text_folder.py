"""Folders of texts, one a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spiral_cli.data.class_files import class_files, hidden
from spiral_cli.data.formats.image_folder import find_parts
from spiral_cli.data.raw import Arrays, Raw, column, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

SUFFIX = ".txt"
UNLABELLED, LABELLED = "unsup", {"pos", "neg"}  # folders of aclImdb (Maas et al. 2011), whose train has all three
Classes = dict[str, list[Path]]  # the files of each class


@datasets.register("text_folder", needs=("path",), gives="texts")
def text_folder(settings: Data) -> Raw:
    """Folders of .txt files, one a class; below train, validation, test, or split here."""
    root = root_path(settings)
    folders = (find_parts(root) if root else {}) | own_paths(settings)
    parts = {part: class_files(folder, text_files, (SUFFIX,)) for part, folder in folders.items()}
    notes = []
    if UNLABELLED not in (settings.classes or ()) and unlabelled(parts):
        left_out = parts["train"].pop(UNLABELLED)
        notes = [f"{len(left_out)} train texts in {folders['train'] / UNLABELLED} have no label and are left out"]
    return Raw.of({part: arrays(classes) for part, classes in parts.items()}, notes=notes)


def text_files(folder: Path) -> list[Path]:
    """Return the text files in and below ``folder``, sorted by path; hidden ones do not count."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() == SUFFIX)
    return sorted(file for file in found if file.is_file() and not hidden(file.relative_to(folder)))


def unlabelled(parts: Mapping[str, Classes]) -> bool:
    """Say whether train has aclImdb's texts without labels, in a folder beside its two classes that no part has."""
    others = [classes for part, classes in parts.items() if part != "train"]
    beside = set(parts.get("train", ())) == {UNLABELLED, *LABELLED}
    return beside and not any(UNLABELLED in classes for classes in others)


def arrays(classes: Mapping[str, Sequence[Path]]) -> Arrays:
    """Return the texts of a part, with their folders' names as labels."""
    texts = [read_text(file) for files in classes.values() for file in files]
    return Arrays(column(texts), np.repeat(list(classes), [len(files) for files in classes.values()]))
