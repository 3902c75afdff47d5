"""NumPy's .npz files of arrays."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from spiral_cli.data.keys import raw_from_keys
from spiral_cli.data.raw import Arrays, Raw, own_paths, root_path
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

FILES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


@datasets.register("npz", needs=("path",))
def npz(settings: Data) -> Raw:
    """NumPy arrays x_train, y_train, x_test, … (or x, y) in one .npz, or a folder of train.npz, test.npz."""
    root = root_path(settings)
    raw = Raw(None) if root is None else read_folder(root) if root.is_dir() else read_npz(root)
    own = {part: read_part(path) for part, path in own_paths(settings).items()}
    return Raw.of(raw.parts() | own, raw.classes)


def read_folder(folder: Path) -> Raw:
    """Read train.npz, validation.npz (valid, val) and test.npz.

    Raises:
        MissingError: none of them is there.
    """
    there = {
        part: [folder / f"{name}.npz" for name in names if (folder / f"{name}.npz").is_file()]
        for part, names in FILES.items()
    }
    if not any(there.values()):
        raise MissingError(f"data.path: {folder} holds no train.npz; allowed are train.npz, validation.npz, test.npz")
    return Raw.of({part: read_part(paths[0]) for part, paths in there.items() if paths})


def read_part(path: Path) -> Arrays:
    """Read one part from a file of x, y and perhaps w.

    Raises:
        MissingError: the file holds something else.
    """
    parts = read_npz(path).parts()
    if len(parts) != 1:
        raise MissingError(f"{path} holds {', '.join(parts)}; the file of one part holds x and y (and w) only")
    return next(iter(parts.values()))


def read_npz(path: Path) -> Raw:
    """Read one .npz file. Pickled objects are refused: loading them would run code.

    Raises:
        MissingError: the file is damaged, no .npz, or holds Python objects.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise MissingError(f"{path} is a single .npy array; store x and y by numpy.savez(path, x=x, y=y)")
        with archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MissingError(
            f"{path} cannot be read as .npz ({error}); allowed are plain arrays of numbers "
            "or text, written by numpy.savez"
        ) from error
    return raw_from_keys(arrays, str(path))
