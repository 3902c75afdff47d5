"""A small transformer that reads a sentence and says its translation."""

from __future__ import annotations

import keras

from spiral_cli.models.texts import earlier, positions
from spiral_cli.registry import models

layers = keras.layers
WIDTH, HEADS, BLOCKS, DROPOUT = 256, 4, 3, 0.2


@models.register("translation_transformer", takes="pairs")
def translation_transformer(lengths: tuple[int, int], vocabulary: int) -> keras.Model:
    """Three blocks of encoder and of decoder, 256 wide, normalised before (Vaswani et al. 2017; Xiong et al. 2020).

    Both read pieces through one embedding.

    Args:
        lengths: (source, target), the longest rows that have positions.
        vocabulary: number of different pieces.

    Returns:
        A model from source (batch, source) and what is said so far (batch, target), int32 with 0 for padding,
        to the logits of every next piece (batch, target, vocabulary).
    """
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = layers.Embedding(vocabulary, WIDTH, name="embedding")
    real = keras.ops.expand_dims(keras.ops.not_equal(source, 0), 1)  # (B, 1, S): what may be looked at

    x = placed(embedding(source), source, lengths[0], "source")  # (B, S, 256)
    for block in range(1, BLOCKS + 1):
        y = norm(f"encoder_{block}_attention_norm")(x)
        x = added(x, attention(f"encoder_{block}_attention")(y, y, attention_mask=real), f"encoder_{block}_attended")
        x = added(x, thought(norm(f"encoder_{block}_dense_norm")(x), f"encoder_{block}"), f"encoder_{block}_thought")
    memory = norm("encoded")(x)

    x = placed(embedding(target), target, lengths[1], "target")  # (B, T, 256)
    before = earlier(target)  # (B, T, T)
    for block in range(1, BLOCKS + 1):
        y = norm(f"decoder_{block}_self_norm")(x)
        x = added(x, attention(f"decoder_{block}_self")(y, y, attention_mask=before), f"decoder_{block}_heard")
        y = norm(f"decoder_{block}_attention_norm")(x)
        y = attention(f"decoder_{block}_attention")(y, memory, attention_mask=real)
        x = added(x, y, f"decoder_{block}_attended")
        x = added(x, thought(norm(f"decoder_{block}_dense_norm")(x), f"decoder_{block}"), f"decoder_{block}_thought")
    logits = layers.Dense(vocabulary, name="logits")(norm("decoded")(x))
    return keras.Model([source, target], logits, name="translation_transformer")


def placed(x: keras.KerasTensor, tokens: keras.KerasTensor, length: int, name: str) -> keras.KerasTensor:
    """Return embeddings (batch, length, width) with those of their places added."""
    x = layers.Add(name=f"{name}_placed")(
        [x, layers.Embedding(length, WIDTH, name=f"{name}_position")(positions(tokens))]
    )
    return layers.Dropout(DROPOUT, name=f"{name}_dropout")(x)


def attention(name: str) -> keras.layers.Layer:
    """Return attention of 4 heads."""
    return layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dropout=0.1, name=name)


def norm(name: str) -> keras.layers.Layer:
    """Return a layer normalisation."""
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def thought(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return what two dense layers make of every place."""
    x = layers.Dense(2 * WIDTH, activation="relu", name=f"{name}_wide")(x)
    return layers.Dense(WIDTH, name=f"{name}_narrow")(x)


def added(x: keras.KerasTensor, y: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return the sum of a block's input and what it found, of which some is dropped in training."""
    return layers.Add(name=name)([x, layers.Dropout(DROPOUT, name=f"{name}_dropout")(y)])
