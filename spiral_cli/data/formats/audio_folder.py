"""Folders of recordings, one a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spiral_cli.data.audio_files import SUFFIXES, audio_files
from spiral_cli.data.class_files import class_files
from spiral_cli.data.formats.image_folder import find_parts
from spiral_cli.data.raw import Arrays, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}  # of Speech Commands (Warden 2018)
NOISE = "_background_noise_"  # minutes of noise beside its class folders
Named = tuple[Path, str]  # a recording and its class


@datasets.register("audio_folder", needs=("path",), gives="audio")
def audio_folder(settings: Data) -> Raw:
    """Folders of wav or flac, one a class; below train, validation, test, by Speech Commands' lists, or split here."""
    root = root_path(settings)
    parts = {} if root is None else listed_parts(root) if listed(root) else folder_parts(root)
    parts |= {part: recordings(folder) for part, folder in own_paths(settings).items()}
    return Raw.of({part: arrays(named) for part, named in parts.items()})


def listed(root: Path) -> bool:
    """Say whether files beside the class folders list which recordings are of which part."""
    return any((root / name).is_file() for name in LISTS.values())


def folder_parts(root: Path) -> dict[str, list[Named]]:
    """Return the recordings of each part that has a folder of its own, or of all as train."""
    return {part: recordings(folder) for part, folder in find_parts(root).items()}


def listed_parts(root: Path) -> dict[str, list[Named]]:
    """Return the recordings of each part as the lists in ``root`` say; what no list names is train.

    Raises:
        MissingError: a list names a file that is not there, or one of another part.
    """
    left = {file.relative_to(root).as_posix(): (file, name) for file, name in recordings(root)}
    parts = {}
    for part, list_name in LISTS.items():
        if (root / list_name).is_file():
            parts[part] = [left_out(left, name, where) for name, where in entries(root / list_name)]
    return {"train": list(left.values()), **parts}


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what each line of a list names, and where it stands; empty lines are left out."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if name := line.strip():
            yield name, f"{path}, line {number}"


def left_out(left: dict[str, Named], name: str, where: str) -> Named:
    """Take the recording ``name`` out of those that are ``left``.

    Raises:
        MissingError: it is not among them.
    """
    if name not in left:
        raise MissingError(
            f"{where}: there is no recording {name} beside the list, or a line before names it; a line is "
            f"CLASS/FILE{SUFFIXES[0]}, and a file belongs to one part"
        )
    return left.pop(name)


def recordings(folder: Path) -> list[Named]:
    """Return the recordings below each class folder, sorted, with its name; raises as `class_files`."""
    classes = class_files(folder, audio_files, SUFFIXES, no_class=(NOISE,))
    return [(file, name) for name, files in classes.items() for file in files]


def arrays(named: list[Named]) -> Arrays:
    """Return recordings and classes of a part."""
    return Arrays(np.array([str(file) for file, _ in named]), np.array([name for _, name in named]))
