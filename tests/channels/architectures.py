"""Whole networks that have to lose half of their channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import Input, layers

from spiral_cli.models.application import application
from spiral_cli.models.resnet import resnet, resnet56


def block(x: Any, width: int, memory: Any = None, causal: bool = False) -> Any:
    """Return a transformer's block after normalisation: self-attention, attention to a memory, feed-forward."""
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 8)(x, x, use_causal_mask=causal)]))
    if memory is not None:
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 8)(x, memory)]))
    y = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(x))
    return layers.LayerNormalization()(layers.Add()([x, y]))


def transformer() -> keras.Model:
    """Return an encoder-decoder with two blocks each and masked padding, logits for 40 words."""
    source, target = Input((12,), dtype="int32", name="source"), Input((10,), dtype="int32", name="target")
    memory = layers.Embedding(40, 32, mask_zero=True)(source)
    for _ in range(2):
        memory = block(memory, 32)
    x = layers.Embedding(40, 32, mask_zero=True)(target)
    for _ in range(2):
        x = block(x, 32, memory, causal=True)
    return keras.Model([source, target], layers.Dense(40)(x), name="transformer")


def bidirectional() -> keras.Model:
    """Return a tagger of two recurrent layers that read both ways."""
    tokens = Input((12,), dtype="int32")
    x = layers.Embedding(40, 32)(tokens)
    x = layers.Bidirectional(layers.LSTM(24, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(16))(x)
    return keras.Model(tokens, layers.Dense(5)(x), name="tagger")


ARCHITECTURES: dict[str, Callable[[], keras.Model]] = {
    "resnet56": lambda: resnet56((32, 32, 3), 10),
    "MobileNetV2": lambda: application("MobileNetV2", (32, 32, 3), 10),
    "EfficientNetB0": lambda: application("EfficientNetB0", (32, 32, 3), 10),
    "DenseNet121": lambda: application("DenseNet121", (32, 32, 3), 10),
    "ResNet50": lambda: application("ResNet50", (32, 32, 3), 10),
    "Xception": lambda: application("Xception", (71, 71, 3), 10),
    "ConvNeXtTiny": lambda: application("ConvNeXtTiny", (32, 32, 3), 10),
    "transformer": transformer,
    "bidirectional LSTM": bidirectional,
}
OTHERS = (
    "InceptionResNetV2",
    "InceptionV3",
    "VGG16",
    "NASNetMobile",
    "EfficientNetV2B0",
    "MobileNetV3Small",
    "MobileNet",
)


def small_resnet() -> keras.Model:
    """Return the shortest of the residual networks."""
    return resnet((16, 16, 3), 10, blocks=1)
