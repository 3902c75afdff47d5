"""A small transformer encoder over the pieces of a text."""

from __future__ import annotations

import keras

from spiral_cli.models.texts import positions, read
from spiral_cli.registry import models

layers = keras.layers
WIDTH, HEADS, BLOCKS = 128, 4, 2


@models.register("text_transformer", takes="texts")
def text_transformer(input_shape: tuple[int], outputs: int, vocabulary: int) -> keras.Model:
    """Two blocks of self-attention, normalised before (Vaswani et al. 2017; Xiong et al. 2020), the mean over the text.

    Args:
        input_shape: (length,), the longest row that has positions.
        outputs: number of logits.
        vocabulary: number of different pieces.

    Returns:
        A model from (batch, length) int32, 0 for padding, to logits (batch, outputs).
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    real = read(tokens)  # (B, T)
    x = layers.Embedding(vocabulary, WIDTH, name="embedding")(tokens)  # (B, T, 128)
    x = layers.Add(name="placed")([x, layers.Embedding(input_shape[0], WIDTH, name="position")(positions(tokens))])
    x = layers.Dropout(0.2, name="dropout")(x)
    for block in range(1, BLOCKS + 1):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"attention_norm_{block}")(x)
        attend = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1, name=f"attention_{block}")
        x = layers.Add(name=f"attended_{block}")([x, attend(y, y, attention_mask=keras.ops.expand_dims(real, 1))])
        y = layers.LayerNormalization(epsilon=1e-6, name=f"dense_norm_{block}")(x)
        y = layers.Dense(2 * WIDTH, activation="relu", name=f"wide_{block}")(y)
        y = layers.Dense(WIDTH, name=f"narrow_{block}")(y)
        x = layers.Add(name=f"thought_{block}")([x, layers.Dropout(0.2, name=f"dropout_{block}")(y)])
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x, mask=real)
    x = layers.Dropout(0.3, name="last_dropout")(x)
    return keras.Model(tokens, layers.Dense(outputs, name="logits")(x), name="text_transformer")
