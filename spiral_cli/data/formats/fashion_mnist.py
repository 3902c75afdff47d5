"""Fashion-MNIST from the Debian package `dataset-fashion-mnist`, else by keras.datasets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spiral_cli.data.download import keras_set
from spiral_cli.data.idx_files import find_idx, read_pairs
from spiral_cli.data.raw import Raw
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

PACKAGE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@datasets.register("fashion_mnist")
def fashion_mnist(settings: Data) -> Raw:
    """70,000 pieces of clothing, 28x28 grey (Xiao et al. 2017; Debian's package, or downloaded by Keras)."""
    if PACKAGE.is_dir():
        return replace(read_pairs(find_idx(PACKAGE)), classes=CLASSES)
    return keras_set("fashion_mnist", CLASSES)
