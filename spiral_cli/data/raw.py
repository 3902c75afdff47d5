"""What a format reads, before anything is checked, split or converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.data.stream import Images, chosen
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data

PARTS = ("train", "validation", "test")
NAMES = {  # what folders, files and splits of each part are called
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Arrays:
    """One part as it was read.

    Attributes:
        x: images (n, height, width, channels) or (n, height, width), of any number type, or a `Stream` of
            them; texts (n,).
        y: (n,) class indices or names, (n, 1), or (n, classes) of zeros and ones.
        weight: (n,) sample weights, or None for ones.
        known_as: digest of the `Stream` that ``x`` was read from, or None.
    """

    x: Images
    y: np.ndarray
    weight: np.ndarray | None = None
    known_as: bytes | None = None

    def take(self, index: np.ndarray) -> Arrays:
        """Return the examples at ``index`` (k,)."""
        return Arrays(chosen(self.x, index), self.y[index], None if self.weight is None else self.weight[index])


@dataclass(frozen=True)
class Raw:
    """The parts a set ships, None where it ships none, and its class names where it has some.

    ``notes`` are sentences on what a format found and left out or mended.
    """

    train: Arrays | None
    validation: Arrays | None = None
    test: Arrays | None = None
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Mapping[str, Arrays], classes: Sequence[str] | None = None, notes: Sequence[str] = ()) -> Raw:
        """Return the parts by name as one set."""
        names = None if classes is None else tuple(map(str, classes))
        return cls(parts.get("train"), parts.get("validation"), parts.get("test"), names, tuple(notes))

    def parts(self) -> dict[str, Arrays]:
        """Return the parts that are there, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: arrays for name, arrays in found.items() if arrays is not None}


def column(values: Sequence[Any]) -> np.ndarray:
    """Return values of any length, such as texts, as (n,) objects: as text each would take the room of the longest."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def existing(path: str | Path, key: str) -> Path:
    """Return ``path`` if something lies there.

    Raises:
        MissingError: nothing does; ``key`` names the recipe's key.
    """
    if not Path(path).exists():
        raise MissingError(
            f"data.{key}: there is no file or folder {path}; correct the path (in a recipe it is "
            "relative to the recipe's folder, in --set to the working directory)"
        )
    return Path(path)


def root_path(settings: Data) -> Path | None:
    """Return the path of the whole set, or None where parts are named on their own.

    Raises:
        MissingError: nothing lies at the path.
        UsageError: neither `path` nor `train` is given.
    """
    if settings.path is not None:
        return existing(settings.path, "path")
    if settings.train is None:
        raise UsageError(f"data: format {settings.format} needs a path, or a train path of its own")
    return None


def own_paths(settings: Data) -> dict[str, Path]:
    """Return the parts that have a path of their own; they replace the parts of `data.path`.

    Raises:
        MissingError: nothing lies at one of them.
    """
    stated = {name: getattr(settings, name) for name in PARTS}
    return {name: existing(path, name) for name, path in stated.items() if isinstance(path, str)}


def stated_size(settings: Data) -> tuple[int, int] | None:
    """Return the recipe's (height, width), or None where images keep theirs."""
    return None if settings.image_size is None else (settings.image_size[0], settings.image_size[1])
