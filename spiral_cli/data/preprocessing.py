"""How stored images become the model's input; kept beside the student as `preprocessing.json`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from spiral_cli.errors import MissingError

# The range of values a model expects, by the recipe's name for it.
RANGES = {"0-255": (0.0, 255.0), "0-1": (0.0, 1.0), "-1-1": (-1.0, 1.0)}
AT_ONCE = 2**22  # numbers: 16 MiB of inputs


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input: model input = x * factor + offset.

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

    def to_json(self) -> str:
        """Return the text of `preprocessing.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Read the text of `preprocessing.json`.

        Raises:
            MissingError: the text is not what `to_json` writes.
        """
        try:
            facts = json.loads(text)
            height, width, channels = (int(size) for size in facts["input_shape"])
            return cls(
                input_shape=(height, width, channels),
                classes=tuple(str(name) for name in facts["classes"]),
                scale=str(facts["scale"]),
                factor=float(facts["factor"]),
                offset=float(facts["offset"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MissingError(
                f"preprocessing.json cannot be used ({type(error).__name__}: {error}); it needs input_shape "
                "[height, width, channels], classes, scale, factor and offset, as spiral wrote them"
            ) from error


def few(shape: tuple[int, ...], most: int) -> int:
    """Return how many inputs of ``shape`` to send through a model at once: ``most``, or fewer of large ones.

    What a convolutional network keeps in between is some ten times its input.
    """
    return max(1, min(most, AT_ONCE // math.prod(shape)))


def scaling(dtype: np.dtype, scale: str) -> tuple[float, float]:
    """Return (factor, offset) from stored values to ``scale``.

    uint8 holds 0 to 255 and is mapped onto the scale; floats are in the scale already.
    """
    if dtype != np.uint8:
        return 1.0, 0.0
    low, high = RANGES[scale]
    return (high - low) / 255.0, low


def stored_range(dtype: np.dtype, scale: str) -> tuple[float, float]:
    """Return the (lowest, highest) value of images as they are stored."""
    return RANGES["0-255" if dtype == np.uint8 else scale]
