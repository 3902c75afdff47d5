"""Folders of images, one a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spiral_cli.data.class_files import class_files, class_folders
from spiral_cli.data.image_files import SUFFIXES, common_shape, image_files, look_at_files, stream_files
from spiral_cli.data.raw import NAMES, Arrays, Raw, own_paths, root_path, stated_size
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("image_folder", needs=("path",), streams=True)
def image_folder(settings: Data) -> Raw:
    """Folders of png, jpg, bmp or gif images, one a class; below train, validation, test, or split here."""
    root = root_path(settings)
    folders = (find_parts(root) if root else {}) | own_paths(settings)
    images = {part: class_files(folder, image_files, SUFFIXES) for part, folder in folders.items()}
    classes = agreed_classes(images)
    files = {part: [file for name in classes for file in by_class[name]] for part, by_class in images.items()}
    y = {part: np.repeat(classes, [len(by_class[name]) for name in classes]) for part, by_class in images.items()}
    every = (file for part in files.values() for file in part)
    channels, size = common_shape(look_at_files(every), settings.channels, stated_size(settings))
    x = {part: stream_files(files[part], folders[part], channels, size) for part in files}
    return Raw.of({part: Arrays(x[part], y[part]) for part in files}, classes)


def find_parts(root: Path) -> dict[str, Path]:
    """Return the folder of each part, by name: those below ``root``, or ``root`` itself as train.

    A folder called train that holds images but no folders is a class of that name, not a part.

    Raises:
        MissingError: ``root`` is not a folder.
    """
    if not root.is_dir():
        raise MissingError(f"data.path: {root} is a file; allowed is a folder with one folder for each class")
    below = {folder.name.lower(): folder for folder in class_folders(root)}
    if not any(name in below and class_folders(below[name]) for name in NAMES["train"]):
        return {"train": root}
    return {part: below[name] for part, names in NAMES.items() for name in reversed(names) if name in below}


def agreed_classes(images: Mapping[str, Mapping[str, Sequence[Path]]]) -> list[str]:
    """Return the sorted class names, which must be the same in every part.

    Raises:
        MissingError: they are not.
    """
    first, *others = images
    for part in others:
        lacking = [
            f"{there} has '{name}' and {missing} has not"
            for there, missing in ((first, part), (part, first))
            for name in sorted(set(images[there]) - set(images[missing]))
        ]
        if lacking:
            raise MissingError(f"the class folders of {first} and {part} must agree, but {'; '.join(lacking[:5])}")
    return sorted(images[first])
