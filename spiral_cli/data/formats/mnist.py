"""MNIST by keras.datasets."""

from __future__ import annotations

from spiral_cli.data.download import keras_set
from spiral_cli.data.raw import Raw
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("mnist")
def mnist(settings: Data) -> Raw:
    """70,000 handwritten digits of 28x28 grey pixels (LeCun et al. 1998; downloaded by Keras)."""
    return keras_set("mnist", tuple("0123456789"))
