"""A dataset's three parts, ready for training, and how missing parts are carved from train."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.data.raw import Arrays
from spiral_cli.data.stratify import carve
from spiral_cli.data.stream import Images, Stream
from spiral_cli.errors import MissingError

TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """One part of a dataset.

    Attributes:
        x: rows (n, …) of numbers as stored; the training step makes model inputs of them. Images
            (n, height, width, channels) uint8 or float32 may be a `Stream` that is read in every epoch.
        y: of classes (n,) int64, 0 or 1 for binary labels; (n, classes) float32 for one-hot and
            multi-label; whatever another task makes of its labels.
        weight: (n,) float32 sample weight; in train times the class weight.
        known_as: digest of the `Stream` that ``x`` was read from, or None.
        references: (n,) texts that answers are measured against, where labels are pieces of them.
        lengths: (n, parts) int32, how much of each part of a row is not padding, where rows are padded.
    """

    x: Images
    y: np.ndarray
    weight: np.ndarray
    known_as: bytes | None = None
    lengths: np.ndarray | None = None
    references: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test; how labels are written; what a model must be given.

    Attributes:
        labels: how they are written; of classes ``sparse``, ``one_hot``, ``binary`` or ``multi_label``.
        notes: sentences on what was found in the data and how it was dealt with.
    """

    train: Split
    validation: Split
    test: Split
    labels: str
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return the BLAKE2b digest (hex) of every array's type, shape and bytes.

        Of images that can be streamed their source's stamp stands in for the bytes, so that a set is
        the same one whether it is held in memory or not.
        """
        digest = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.validation, self.test):
            known_as = split.x.digest() if isinstance(split.x, Stream) else split.known_as
            digest.update(f"{split.x.dtype.str}{split.x.shape}".encode())
            digest.update(known_as or np.ascontiguousarray(split.x).data)
            digest.update("\n".join(split.references or ()).encode())
            for array in (split.y, split.weight):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def complete(parts: Mapping[str, Arrays], fraction: float, seed: int) -> dict[str, Arrays]:
    """Return train, validation and test, with the missing ones carved from train.

    A set without a test part lends its validation part to it; one with neither gives up a fifth
    of train first. Validation is then ``fraction`` of what is left of train.

    Raises:
        MissingError: there is no train part, or a part would be empty.
    """
    parts = dict(parts)
    if "train" not in parts:
        there = ", ".join(parts) or "nothing"
        raise MissingError(f"data: there is no train part, only {there}; give data.path or data.train")
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    for name, size in (("test", TEST_FRACTION), ("validation", fraction)):
        if name not in parts:
            kept, carved = carve(parts["train"].y, size, seed, name)
            parts["train"], parts[name] = parts["train"].take(kept), parts["train"].take(carved)
    return parts
