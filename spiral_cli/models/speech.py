"""What the models of utterances share: which frames are padding and where they are, halving of time, the end."""

from __future__ import annotations

import keras
import numpy as np

layers = keras.layers
SLOWEST = 1e4  # of the waves that tell places, relative to the fastest
NO_FRAME = 1e4  # larger than logits: frames of padding say blank


def heard(frames: keras.KerasTensor) -> keras.KerasTensor:
    """Return 1 for frames (batch, frames, mels) of sound and 0 for padding, which is all zeros, (batch, frames, 1)."""
    return keras.ops.cast(keras.ops.any(keras.ops.not_equal(frames, 0.0), axis=-1, keepdims=True), "float32")


def halved(
    x: keras.KerasTensor, real: keras.KerasTensor, filters: int, name: str, epsilon: float = 1e-6
) -> tuple[keras.KerasTensor, ...]:
    """Return a convolution over 5 frames at every other one, and which of its frames are real.

    Two frames of padding on either side make its places the same, whatever is behind the end.

    Args:
        x: (batch, frames, channels), zeros in padding.
        real: (batch, frames, 1).
        filters: channels of the result.
        name: of the layers.
        epsilon: of the normalisation. Padding is divided by its root, being of variance 0.
    """
    x = layers.ZeroPadding1D(2, name=f"{name}_pad")(x)
    x = layers.Conv1D(filters, 5, 2, use_bias=False, name=name)(x)
    x = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm")(x)
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    real = real[:, ::2]
    return layers.Multiply(name=f"{name}_real")([x, real]), real


def waves(places: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Return what tells places (batch, frames) apart, however many there are: sines (Vaswani et al. 2017).

    Args:
        places: counted from 0.
        width: waves, half of them sines and half cosines, of periods from 2 pi to `SLOWEST` times as long.

    Returns:
        (batch, frames, width) float32.
    """
    half = -(-width // 2)
    rates = SLOWEST ** -(np.arange(half) / half)
    rates, phases = np.tile(rates, 2)[:width], np.repeat([0.0, np.pi / 2], half)[:width]
    angles = keras.ops.expand_dims(keras.ops.cast(places, "float32"), -1) * rates.astype(np.float32)
    return keras.ops.sin(angles + phases.astype(np.float32))


def spelled(x: keras.KerasTensor, real: keras.KerasTensor, outputs: int) -> keras.KerasTensor:
    """Return the logits (batch, frames, outputs) of every frame; padding says blank, the first output."""
    logits = layers.Dense(outputs, name="spelling")(x)
    others = np.full((1, 1, outputs), -NO_FRAME, np.float32)
    others[..., 0] = NO_FRAME
    return layers.Add(name="logits")([logits * real, (1.0 - real) * others])
