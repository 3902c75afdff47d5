"""Files in the format of MNIST: a magic number, sizes, then raw values, gzipped or not.

The format is described by Y. LeCun, C. Cortes and C. Burges, "The MNIST database".
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.errors import MissingError

# The third byte of the magic number names the type; values are stored big-endian.
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PREFIXES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("t10k", "test")}
IMAGES = re.compile(r"(?P<part>.+)-images[-.]idx(?P<rank>[34])-ubyte(\.gz)?")


def read_idx(path: Path) -> np.ndarray:
    """Return the array in one idx file, in the machine's byte order.

    Raises:
        MissingError: the file cannot be read, or is not exactly one idx array.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise MissingError(f"{path} cannot be read ({error}); copy or download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or data[3] == 0:
        raise MissingError(
            f"{path} is no idx file: it begins with 0x{data[:4].hex()}; it must begin with 0x0000, a type "
            f"({', '.join(f'{code:02x}' for code in TYPES)}) and the number of dimensions"
        )
    dtype, rank = np.dtype(TYPES[data[2]]), data[3]
    header = 4 + 4 * rank
    shape = tuple(int.from_bytes(data[place : place + 4], "big") for place in range(4, header, 4))
    size = header + dtype.itemsize * math.prod(shape)
    if len(data) != size:
        raise MissingError(
            f"{path} holds {len(data)} bytes, but its header promises {size} for the shape {shape}; "
            "it was cut short or is damaged, copy or download it again"
        )
    return np.frombuffer(data, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="))


def labels_of(images: Path) -> Path:
    """Return the labels file that belongs to an images file, gzipped or not.

    Raises:
        MissingError: there is none.
    """
    match = IMAGES.fullmatch(images.name)
    if match is None:
        raise MissingError(f"{images}: an idx images file is named NAME-images-idx3-ubyte, with or without .gz")
    dot = "." if ".idx" in images.name else "-"
    stem = f"{match['part']}-labels{dot}idx1-ubyte"
    for name in (stem, f"{stem}.gz"):
        if (images.parent / name).is_file():
            return images.parent / name
    raise MissingError(f"{images} has no labels beside it; expected {images.parent / stem} or the same with .gz")


def images_files(folder: Path) -> dict[str, Path]:
    """Return the images files in ``folder`` by what stands before ``-images``; plain ones before gzipped."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        match = IMAGES.fullmatch(file.name)
        if match is not None:
            found.setdefault(match["part"], file)
    return found


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the images file of each part in a folder with the standard names.

    Raises:
        MissingError: there is none.
    """
    files = images_files(folder) if folder.is_dir() else {}
    parts = {part: files[prefix] for part, known in PREFIXES.items() for prefix in known if prefix in files}
    if not parts:
        raise MissingError(
            f"data.path: {folder} is no folder of train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped or not"
        )
    return parts


def only_pair(path: Path) -> Path:
    """Return the images file of one part: ``path`` itself, or the only one in the folder.

    Raises:
        MissingError: there are none or several.
    """
    if path.is_file():
        return path
    files = images_files(path)
    if len(files) != 1:
        held = ", ".join(file.name for file in files.values()) or "none"
        raise MissingError(f"{path} must hold one idx images file, or be one; found {held}")
    return next(iter(files.values()))


def read_pairs(files: Mapping[str, Path]) -> Raw:
    """Read the images files of each part and the labels beside them.

    Raises:
        MissingError: a file is missing or damaged, or holds something else.
    """
    return Raw.of({part: read_pair(file) for part, file in files.items()})


def read_pair(images: Path) -> Arrays:
    """Read one images file (n, h, w) or (n, h, w, c) and its labels (n,)."""
    x, labels = read_idx(images), labels_of(images)
    y = read_idx(labels)
    if x.ndim not in (3, 4) or y.ndim != 1:
        raise MissingError(f"{images} has {x.ndim} dimensions and {labels} {y.ndim}; needed are 3 or 4, and 1")
    return Arrays(x, y)
