"""The four models of the speed benchmark and what they train on. Imports nothing but NumPy by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

BATCH = 128
CLASSES = 10
# Examples of an epoch: some seconds of plain `fit` on two cores, and a multiple of 32 whole batches.
EXAMPLES = {"lenet300": 32768, "lenet5": 16384, "resnet20": 4096, "transformer": 4096}
SHAPES = {"lenet300": (28, 28, 1), "lenet5": (28, 28, 1), "resnet20": (32, 32, 3)}
LENGTH, VOCABULARY, WIDTH, HEADS, HIDDEN, BLOCKS = 64, 2000, 128, 4, 256, 2


def examples(name: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return stored inputs and labels (n,) int64, random but the same everywhere.

    The inputs are images (n, height, width, channels) uint8, or token numbers (n, LENGTH) int32 for
    the transformer. What they show does not change how long a step takes.
    """
    rng = np.random.default_rng(0)
    count = count or EXAMPLES[name]
    if name == "transformer":
        x = rng.integers(VOCABULARY, size=(count, LENGTH), dtype=np.int32)
    else:
        x = rng.integers(256, size=(count, *SHAPES[name]), dtype=np.uint8)
    return x, rng.integers(CLASSES, size=count)


def scaled(x: np.ndarray) -> np.ndarray:
    """Return what the model takes: images as float32 from 0 to 1, token numbers as they are."""
    return (x / 255.0).astype("float32") if x.dtype == np.uint8 else x


def build(name: str) -> Any:
    """Return a fresh model from inputs to logits (batch, CLASSES)."""
    if name == "transformer":
        return transformer()
    from spiral_cli.registry import models

    return models.get(name)(SHAPES[name], CLASSES)


def transformer() -> Any:
    """Return a small encoder (Vaswani et al. 2017): token numbers (batch, LENGTH) to logits, of Keras' own layers.

    Token embedding plus fixed sinusoidal positions, BLOCKS of attention and feed-forward, each with
    a residual and a normalisation after it, mean over tokens, dense.
    """
    import keras

    layers = keras.layers
    tokens = layers.Input((LENGTH,), dtype="int32", name="tokens")
    x = layers.Embedding(VOCABULARY, WIDTH, name="embedding")(tokens)  # (B, T, C)
    x = x + positions()
    for i in range(BLOCKS):
        attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention_{i}")(x, x)
        x = layers.LayerNormalization(name=f"attention_norm_{i}")(layers.Add(name=f"attended_{i}")([x, attended]))
        hidden = layers.Dense(HIDDEN, "relu", name=f"hidden_{i}")(x)
        hidden = layers.Dense(WIDTH, name=f"output_{i}")(hidden)
        x = layers.LayerNormalization(name=f"norm_{i}")(layers.Add(name=f"sum_{i}")([x, hidden]))
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(tokens, layers.Dense(CLASSES, name="logits")(x), name="transformer")


def positions() -> np.ndarray:
    """Return sines and cosines (1, LENGTH, WIDTH) float32 of wavelengths from 2π to 10000 · 2π."""
    angles = np.arange(LENGTH)[:, None] / 10000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[None].astype(np.float32)
