"""A small network of depthwise separable convolutions, after MobileNet (Howard et al. 2017)."""

from __future__ import annotations

from typing import Any

import keras

from spiral_cli.models.depthwise import depthwise
from spiral_cli.registry import models

BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))  # (channels, stride)


@models.register("mobilenet_small")
def mobilenet_small(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """A small MobileNet: five depthwise separable blocks (Howard et al. 2017); 38 k weights.

    Args:
        input_shape: (height, width, channels).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name="stem")(inputs)
    x = activated(x, "stem")
    for number, (channels, stride) in enumerate(BLOCKS, start=1):
        x = separable(x, channels, stride, f"block{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(outputs, name="logits")(x)
    return keras.Model(inputs, logits, name="mobilenet_small")


def separable(x: Any, channels: int, stride: int, name: str) -> Any:
    """Filter each channel by 3x3, then mix channels by 1x1: (batch, h / stride, w / stride, channels)."""
    x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(depthwise(x, (3, 3), f"{name}_depthwise", stride=stride))
    x = keras.layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise")(x)
    return activated(x, f"{name}_pointwise")


def activated(x: Any, name: str) -> Any:
    """Normalise over the batch, then ReLU."""
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
