"""A recurrent recogniser: convolutions, then GRUs from both ends."""

from __future__ import annotations

import keras

from spiral_cli.models.speech import halved, heard, spelled
from spiral_cli.registry import models

layers = keras.layers
CHANNELS, UNITS, BLOCKS = 192, 128, 2


@models.register("speech_gru", takes="speech")
def speech_gru(input_shape: tuple[int, int], outputs: int) -> keras.Model:
    """Two convolutions that halve time, two bidirectional GRUs of 128 units (Amodei et al. 2016, Deep Speech 2).

    While it trains, bands and frames are dropped.

    Args:
        input_shape: (frames, mels); rows of any length are taken.
        outputs: the blank and the pieces.

    Returns:
        A model from (batch, frames, mels), zeros for padding, to logits (batch, ceil(frames / 4), outputs).
    """
    frames = keras.Input((None, input_shape[1]), name="frames")
    real = heard(frames)  # (B, T, 1)
    x = layers.SpatialDropout1D(0.1, name="bands")(frames)
    x, real = halved(x, real, CHANNELS, "conv_1")  # (B, T/2, 192)
    x, real = halved(x, real, CHANNELS, "conv_2")  # (B, T/4, 192)
    mask = keras.ops.squeeze(keras.ops.greater(real, 0.5), -1)
    for block in range(1, BLOCKS + 1):
        x = layers.Dropout(0.3, name=f"dropout_{block}")(x)
        x = layers.Bidirectional(layers.GRU(UNITS, return_sequences=True), name=f"gru_{block}")(x, mask=mask)
    x = layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(frames, spelled(x, real, outputs), name="speech_gru")
