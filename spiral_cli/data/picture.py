"""One stored image as text that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

LARGEST = 128  # pixels a side; a page shows many, and each lies in it


def data_uri(image: np.ndarray, low: float, high: float, largest: int = LARGEST) -> str:
    """Return an image as a ``data:`` address holding a PNG.

    Args:
        image: (height, width, channels) of any number type; of a channel count that is neither grey (1),
            colour (3) nor colour with opacity (4) the first channel is shown.
        low, high: the values that are black and white; what lies outside is clipped.
        largest: pixels a side; a larger image is made smaller.
    """
    bytes_ = np.round(255.0 * np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
    picture = Image.fromarray(bytes_ if image.shape[-1] in (3, 4) else bytes_[..., 0])
    picture.thumbnail((largest, largest))
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")
