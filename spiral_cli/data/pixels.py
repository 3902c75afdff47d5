"""How stored images become the model's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf

# The range of values a model expects, by the recipe's name for it.
RANGES = {"0-255": (0.0, 255.0), "0-1": (0.0, 1.0), "-1-1": (-1.0, 1.0)}
KEYS = {"input_shape": "data.image_size and data.channels", "classes": "data.classes", "scale": "data.scale"}


@dataclass(frozen=True)
class Pixels:
    """What a model expects of its images: model input = x * factor + offset.

    Attributes:
        input_shape: (height, width, channels).
        classes: names in the order of the model's outputs.
        scale: the recipe's `data.scale`.
        factor, offset: from stored values to that scale.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    scale: str
    factor: float
    offset: float

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> tf.Tensor:
        """Return images (batch, height, width, channels) float32; all have one size."""
        import tensorflow as tf

        return tf.cast(stored, tf.float32) * self.factor + self.offset

    def differences(self, other: Pixels) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        pairs = {key: (getattr(self, key), getattr(other, key)) for key in KEYS}
        return [
            f"{key} {before}, and the recipe comes to {now}; see {KEYS[key]}"
            for key, (before, now) in pairs.items()
            if before != now
        ]

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        height, width, channels = (int(size) for size in facts["input_shape"])
        return cls(
            input_shape=(height, width, channels),
            classes=tuple(str(name) for name in facts["classes"]),
            scale=str(facts["scale"]),
            factor=float(facts["factor"]),
            offset=float(facts["offset"]),
        )


def scaling(dtype: np.dtype, scale: str) -> tuple[float, float]:
    """Return (factor, offset) from stored values to ``scale``.

    uint8 holds 0 to 255 and is mapped onto the scale; floats are in the scale already.
    """
    if dtype != np.uint8:
        return 1.0, 0.0
    low, high = RANGES[scale]
    return (high - low) / 255.0, low


def as_stored(images: np.ndarray, preprocessing: Pixels) -> np.ndarray:
    """Return uint8 images (n, height, width, channels) as the set that ``preprocessing`` is of stores its own."""
    if (preprocessing.factor, preprocessing.offset) == scaling(images.dtype, preprocessing.scale):
        return images
    low, high = RANGES[preprocessing.scale]  # the set's are floats in the scale already
    return (images * ((high - low) / 255.0) + low).astype(np.float32)


def stored_range(dtype: np.dtype, scale: str) -> tuple[float, float]:
    """Return the (lowest, highest) value of images as they are stored."""
    return RANGES["0-255" if dtype == np.uint8 else scale]
