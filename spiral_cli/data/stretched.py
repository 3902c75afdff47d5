"""How images with boxes become the model's input, and its boxes those of the image's file again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from spiral_cli.data.pixels import Pixels

STRETCH = "stretch"


@dataclass(frozen=True)
class Stretched(Pixels):
    """What a detector expects of its images, as `Pixels`.

    Attributes:
        resize: ``stretch``: an image is made ``input_shape`` large, each side by a factor of its own. Overlaps
            of boxes stay what they are (areas all grow by the same factor), so what is measured on resized
            images is measured on the originals; to undo it is one factor a side.
    """

    resize: str = STRETCH

    def resized(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return boxes (…, 4), left, top, right, bottom, of a file of ``size`` (height, width) as a model sees them."""
        height, width, _ = self.input_shape
        return boxes * (np.array([width, height, width, height]) / np.array([size[1], size[0], size[1], size[0]]))

    def original(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return a model's boxes (…, 4) in pixels of the image's file of ``size`` (height, width)."""
        height, width, _ = self.input_shape
        return boxes * (np.array([size[1], size[0], size[1], size[0]]) / np.array([width, height, width, height]))

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        if facts["resize"] != STRETCH:
            raise ValueError(f"resize is {facts['resize']!r}; allowed: {STRETCH}")
        return replace(super().read(facts), resize=STRETCH)


class Rows(np.ndarray):
    """Stored rows (n, height, width, channels) that remember the ``sizes`` (height, width) of their files."""

    sizes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, images: np.ndarray, sizes: Sequence[tuple[int, int]]) -> Self:
        """Return ``images`` as such rows."""
        rows = images.view(cls)
        rows.sizes = tuple(sizes)
        return rows
