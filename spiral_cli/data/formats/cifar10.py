"""CIFAR-10 by keras.datasets."""

from __future__ import annotations

from spiral_cli.data.download import keras_set
from spiral_cli.data.raw import Raw
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@datasets.register("cifar10")
def cifar10(settings: Data) -> Raw:
    """60,000 photographs of 32x32 colour pixels in 10 classes (Krizhevsky 2009; downloaded by Keras)."""
    return keras_set("cifar10", CLASSES)
