"""What the formats of boxes share: images with the objects in them, as arrays that a set is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.data.image_files import SUFFIXES
from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.errors import MissingError, did_you_mean

PADDING = -1  # the class of a row that is no box
Box = tuple[float, float, float, float, int]  # left, top, right, bottom in pixels of the image's file; class index


@dataclass(frozen=True)
class Picture:
    """An image file, which may be missing or damaged, and the boxes in it as they are written.

    ``size`` is the (height, width) that is written, or None where nothing is.
    """

    file: Path
    boxes: Sequence[Box]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pictures(Arrays):
    """A part as it was read: ``x`` names of files (n,), ``y`` boxes (n, most, 5), and `Picture.size` of each."""

    sizes: Sequence[tuple[int, int] | None] = ()


def raw_of(parts: Mapping[str, Sequence[Picture]], classes: Sequence[str], notes: Sequence[str] = ()) -> Raw:
    """Return parts as a set: ``x`` names of files (n,), ``y`` (n, most, 5) float64, filled up with `PADDING`.

    Raises:
        MissingError: a part has no image.
    """
    for part, pictures in parts.items():
        if not pictures:
            raise MissingError(f"data: the {part} part has no image")
    return Raw.of({part: arrays(pictures) for part, pictures in parts.items()}, classes, notes)


def arrays(pictures: Sequence[Picture]) -> Pictures:
    """Return pictures as arrays; see `raw_of`."""
    files = np.array([str(picture.file) for picture in pictures])
    boxes = padded([np.array(picture.boxes, np.float64).reshape(-1, 5) for picture in pictures])
    return Pictures(files, boxes, sizes=[picture.size for picture in pictures])


def padded(boxes: Sequence[np.ndarray], most: int = 1) -> np.ndarray:
    """Return arrays (k, 5) as one (n, most, 5), with at least ``most`` rows each, filled up with `PADDING`."""
    most = max([most, *(len(one) for one in boxes)])
    result = np.full((len(boxes), most, 5), float(PADDING), boxes[0].dtype if boxes else np.float64)
    for row, one in zip(result, boxes, strict=True):
        row[: len(one)] = one
    return result


def numbers(values: Sequence[Any], count: int, place: str) -> list[float]:
    """Return ``count`` finite numbers.

    Raises:
        MissingError: they are not; the message calls them ``place``.
    """
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        told = " ".join(map(str, values))
        raise MissingError(f"{place}: received '{told}'; a box is {count} finite numbers")
    return found


def written_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Return an image's size as it is written, or None where that is no size, as of tools that write 0."""
    try:
        size = int(height), int(width)
    except (TypeError, ValueError):
        return None
    return size if min(size) > 0 else None


def class_index(name: str, classes: Sequence[str], place: str) -> int:
    """Return which class is called ``name``.

    Raises:
        MissingError: none is; the message tells ``place``.
    """
    if name not in classes:
        near = did_you_mean(name, list(classes))
        raise MissingError(f"{place}: the class '{name}' is not one of {', '.join(classes)}{near}; see data.classes")
    return list(classes).index(name)


def image_of(folder: Path, stem: str) -> Path | None:
    """Return the image file in ``folder`` whose name without ending is ``stem``, or None."""
    endings = (form for ending in SUFFIXES for form in (ending, ending.upper()))
    return next((file for ending in endings if (file := folder / f"{stem}{ending}").is_file()), None)
