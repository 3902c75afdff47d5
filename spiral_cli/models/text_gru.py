"""A recurrent network over the pieces of a text, from both ends."""

from __future__ import annotations

import keras

from spiral_cli.models.texts import read
from spiral_cli.registry import models

layers = keras.layers


@models.register("text_gru", takes="texts")
def text_gru(input_shape: tuple[int], outputs: int, vocabulary: int) -> keras.Model:
    """Embedding and a bidirectional GRU of 64 units, the mean of what it says at every piece (Cho et al. 2014).

    Args:
        input_shape: (length,) of a row; rows of any length are taken.
        outputs: number of logits.
        vocabulary: number of different pieces.

    Returns:
        A model from (batch, length) int32, 0 for padding, to logits (batch, outputs).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    real = read(tokens)  # (B, T)
    x = layers.Embedding(vocabulary, 128, name="embedding")(tokens)  # (B, T, 128)
    x = layers.SpatialDropout1D(0.3, name="word_dropout")(x)
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True), name="gru")(x, mask=real)  # (B, T, 128)
    x = layers.GlobalAveragePooling1D(name="mean")(x, mask=real)
    x = layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(tokens, layers.Dense(outputs, name="logits")(x), name="text_gru")
