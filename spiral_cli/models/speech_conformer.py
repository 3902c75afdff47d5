"""A small Conformer: attention for what is far, convolution for what is near."""

from __future__ import annotations

import keras

from spiral_cli.models.speech import halved, heard, spelled, waves
from spiral_cli.models.texts import positions
from spiral_cli.registry import models

layers = keras.layers
WIDTH, HEADS, BLOCKS, KERNEL, DROPOUT = 144, 4, 4, 15, 0.1
EPSILON = 0.1  # where padding is normalised: divided by 1e-3, it would take all the steps of an int8 file


@models.register("speech_conformer", takes="speech")
def speech_conformer(input_shape: tuple[int, int], outputs: int) -> keras.Model:
    """Four Conformer blocks of 144 behind two convolutions that halve time (Gulati et al. 2020), layers normalised.

    Layer normalisation stands where the paper has batch normalisation, which padding would disturb. Places are told
    by sines through a dense layer, as every length has them and the layer's outputs may be cut with all others.

    Args:
        input_shape: (frames, mels); rows of any length are taken.
        outputs: the blank and the pieces.

    Returns:
        A model from (batch, frames, mels), zeros for padding, to logits (batch, ceil(frames / 4), outputs).
    """
    frames = keras.Input((None, input_shape[1]), name="frames")
    real = heard(frames)  # (B, T, 1)
    x = layers.SpatialDropout1D(0.1, name="bands")(frames)
    x, real = halved(x, real, WIDTH, "conv_1", EPSILON)
    x, real = halved(x, real, WIDTH, "conv_2", EPSILON)  # (B, T/4, 144)
    places = positions(keras.ops.cast(keras.ops.squeeze(real, -1), "int32"))
    x = layers.Add(name="placed")([x, layers.Dense(WIDTH, use_bias=False, name="position")(waves(places, WIDTH))])
    x = layers.Dropout(DROPOUT, name="dropout")(x)
    seen = keras.ops.expand_dims(keras.ops.greater(keras.ops.squeeze(real, -1), 0.5), 1)  # (B, 1, T/4)
    for block in range(1, BLOCKS + 1):
        x = conformer(x, real, seen, f"block_{block}")
    return keras.Model(frames, spelled(x, real, outputs), name="speech_conformer")


def conformer(x: keras.KerasTensor, real: keras.KerasTensor, seen: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return a block's output (batch, frames, width).

    Args:
        x: (batch, frames, width).
        real: (batch, frames, 1), 1 for frames that are no padding.
        seen: (batch, 1, frames), which may be looked at.
        name: of the block.
    """
    x = layers.Add(name=f"{name}_first")([x, 0.5 * dense(x, f"{name}_first_dense")])
    y = norm(x, f"{name}_attention")
    y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=DROPOUT, name=f"{name}_attention")(
        y, y, attention_mask=seen
    )
    x = layers.Add(name=f"{name}_attended")([x, layers.Dropout(DROPOUT, name=f"{name}_attention_dropout")(y)])
    y = norm(x, f"{name}_convolution")
    gate = layers.Dense(WIDTH, activation="sigmoid", name=f"{name}_gate")(y)
    y = layers.Multiply(name=f"{name}_gated")([layers.Dense(WIDTH, name=f"{name}_value")(y), gate, real])
    y = layers.DepthwiseConv1D(KERNEL, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.Activation("silu", name=f"{name}_silu")(norm(y, f"{name}_depthwise"))
    y = layers.Dense(WIDTH, name=f"{name}_pointwise")(y)
    x = layers.Add(name=f"{name}_convolved")([x, layers.Dropout(DROPOUT, name=f"{name}_convolution_dropout")(y)])
    x = layers.Add(name=f"{name}_last")([x, 0.5 * dense(x, f"{name}_last_dense")])
    return norm(x, f"{name}_out")


def dense(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return what two dense layers make of every frame."""
    x = layers.Dense(4 * WIDTH, activation="silu", name=f"{name}_wide")(norm(x, name))
    x = layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)
    return layers.Dense(WIDTH, name=f"{name}_narrow")(x)


def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return ``x`` normalised over its last axis."""
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
