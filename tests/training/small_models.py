"""A small model with examples, for tests of the step that trains it."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pixels import Pixels
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.training.arrays import TrainingData

N = 50
PREPROCESSING = Pixels((6, 6, 1), ("a", "b", "c"), "0-1", 1 / 255, 0.0)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 6, 6, 1)).astype(np.uint8)
Y = RNG.integers(0, 3, N).astype(np.int32)
WEIGHT = RNG.uniform(0.5, 2.0, N).astype(np.float32)
LOGITS = RNG.normal(size=(N, 3)).astype(np.float32)


def small_model(
    width: int = 7, seed: int = 0, normalised: bool = True, precision: str = "float32", net: str = "plain"
) -> keras.Model:
    """Batch normalisation keeps a step whole; without it the step runs in halves."""
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return {"plain": lambda: small_layers(width, normalised), "pooled": pooled, "encoder": encoder}[net]()
    finally:
        keras.config.set_dtype_policy(before)


def small_layers(width: int, normalised: bool) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            *([layers.BatchNormalization(name="norm")] if normalised else []),
            layers.Flatten(),
            layers.Dense(width, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3), name="hidden"),
            layers.Dense(3, name="logits"),
        ]
    )


def pooled() -> keras.Model:
    """Return a model whose convolution is pooled."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ]
    )


def encoder() -> keras.Model:
    """Return a model of attention and layer normalisation over the rows of an image."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 1))
    x = layers.Reshape((6, 6))(inputs)
    x = layers.LayerNormalization(name="norm")(x + layers.MultiHeadAttention(2, 3, name="attention")(x, x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling1D()(x)))


def training_data() -> TrainingData:
    return TrainingData(tf.constant(X), tf.constant(Y), tf.constant(WEIGHT), PREPROCESSING)


def half_masks(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {one.name: rng.random(one.variable.shape) < 0.5 for one in find_prunable(model)[0]}
