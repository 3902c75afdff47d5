"""scikit-learn's handwritten digits: real, small, and there without a network."""

from __future__ import annotations

import numpy as np

from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("digits")
def digits(settings: Data) -> Raw:
    """1,797 handwritten digits of 8x8 grey pixels, shipped with scikit-learn (offline)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), stored as 0 to 16
    return Raw(Arrays(x, bunch.target.astype(np.int64)), classes=tuple("0123456789"))
