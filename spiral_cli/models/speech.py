"""What the models of utterances share: where frames are padding, halving of time, what is said behind the end."""

from __future__ import annotations

import keras
import numpy as np

layers = keras.layers
NO_FRAME = 1e4  # larger than logits: frames of padding say blank


def heard(frames: keras.KerasTensor) -> keras.KerasTensor:
    """Return 1 for frames (batch, frames, mels) of sound and 0 for padding, which is all zeros, (batch, frames, 1)."""
    return keras.ops.cast(keras.ops.any(keras.ops.not_equal(frames, 0.0), axis=-1, keepdims=True), "float32")


def halved(x: keras.KerasTensor, real: keras.KerasTensor, filters: int, name: str) -> tuple[keras.KerasTensor, ...]:
    """Return a convolution over 5 frames at every other one, and which of its frames are real.

    Two frames of padding on either side make its places the same, whatever is behind the end.

    Args:
        x: (batch, frames, channels), zeros in padding.
        real: (batch, frames, 1).
        filters: channels of the result.
        name: of the layers.
    """
    x = layers.ZeroPadding1D(2, name=f"{name}_pad")(x)
    x = layers.Conv1D(filters, 5, 2, use_bias=False, name=name)(x)
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    real = real[:, ::2]
    return layers.Multiply(name=f"{name}_real")([x, real]), real


def spelled(x: keras.KerasTensor, real: keras.KerasTensor, outputs: int) -> keras.KerasTensor:
    """Return the logits (batch, frames, outputs) of every frame; padding says blank, the first output."""
    logits = layers.Dense(outputs, name="spelling")(x)
    others = np.full((1, 1, outputs), -NO_FRAME, np.float32)
    others[..., 0] = NO_FRAME
    return layers.Add(name="logits")([logits * real, (1.0 - real) * others])
