"""Images that are read when they are needed, for sets larger than memory; along its rows like an array."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Stream:
    """A part of a set whose images stay on disk.

    Attributes:
        read: gives one image (height, width, channels) uint8, the same bytes every time, by its
            number in the source; several threads may call it at once.
        rows: (n,) numbers in the source, in this part's order.
        image_shape: (height, width, channels) of every image.
        stamp: what tells this source from another one without reading it (names and sizes of files).
    """

    read: Callable[[int], np.ndarray]
    rows: np.ndarray
    image_shape: tuple[int, int, int]
    stamp: str

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return (len(self.rows), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """What all its images would take in memory, in bytes."""
        return len(self.rows) * int(np.prod(self.image_shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        """Read the images at ``index`` as an array."""
        rows = self.rows[index]
        images = np.empty((len(rows), *self.image_shape), np.uint8)
        for place, row in zip(images, rows, strict=True):
            place[...] = self.read(int(row))
        return images

    def image(self, row: int) -> np.ndarray:
        """Read one image (height, width, channels) by its place in this part."""
        return self.read(int(self.rows[row]))

    def take(self, index: np.ndarray) -> Stream:
        """Return the images at ``index`` (k,), unread."""
        return replace(self, rows=self.rows[index])

    def digest(self) -> bytes:
        """Return what tells these images from others, by the source's stamp and the choice of rows."""
        return hashlib.blake2b(self.stamp.encode() + self.rows.astype("<i8").tobytes(), digest_size=16).digest()


Images = np.ndarray | Stream


def reader(images: Images) -> Callable[[int], np.ndarray]:
    """Return what gives one image (height, width, channels) by its place."""
    return images.image if isinstance(images, Stream) else images.__getitem__


def in_memory_bytes(images: Images) -> int:
    """Return what images take in memory, in bytes."""
    return 0 if isinstance(images, Stream) else images.nbytes


def chosen(images: Images, index: np.ndarray) -> Images:
    """Return the images at ``index`` (k,): read where they are in memory, unread where they are not."""
    return images.take(index) if isinstance(images, Stream) else images[index]
