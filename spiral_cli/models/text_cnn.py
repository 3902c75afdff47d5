"""Convolution over the words of a text."""

from __future__ import annotations

import keras

from spiral_cli.models.texts import there
from spiral_cli.registry import models

layers = keras.layers


@models.register("text_cnn", takes="texts")
def text_cnn(input_shape: tuple[int], outputs: int, vocabulary: int) -> keras.Model:
    """Embedding, convolutions over 3, 4 and 5 pieces, the largest of each over the text (Kim 2014).

    Padding changes nothing: its embedding is zero, as what a convolution finds beyond the ends, and
    no maximum over values from 0 is of padding.

    Args:
        input_shape: (length,) of a row; rows of any length are taken.
        outputs: number of logits.
        vocabulary: number of different pieces.

    Returns:
        A model from (batch, length) int32, 0 for padding, to logits (batch, outputs).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    real = there(tokens)  # (B, T, 1)
    x = layers.Embedding(vocabulary, 128, name="embedding")(tokens)
    x = layers.Multiply(name="embedded")([x, real])  # (B, T, 128)
    x = layers.SpatialDropout1D(0.3, name="word_dropout")(x)
    found = []
    for width in (3, 4, 5):
        y = layers.Conv1D(100, width, padding="same", activation="relu", name=f"conv_{width}")(x)
        y = layers.Multiply(name=f"found_{width}")([y, real])
        found.append(layers.GlobalMaxPooling1D(name=f"largest_{width}")(y))
    x = layers.Concatenate(name="features")(found)  # (B, 300)
    x = layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(tokens, layers.Dense(outputs, name="logits")(x), name="text_cnn")
