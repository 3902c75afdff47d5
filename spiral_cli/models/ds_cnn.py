"""Depthwise separable convolutions for keyword spotting (Zhang et al. 2017, "Hello Edge")."""

from __future__ import annotations

from typing import Any

import keras

from spiral_cli.models.depthwise import depthwise
from spiral_cli.models.mobilenet_small import activated
from spiral_cli.registry import models

layers = keras.layers

CHANNELS, BLOCKS = 64, 4  # of the paper's small network


@models.register("ds_cnn", takes="audio")
def ds_cnn(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """DS-CNN-S: one convolution, four depthwise separable blocks (Zhang et al. 2017); 22 k weights.

    Args:
        input_shape: (frames, mels, 1).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="spectrogram")
    x = activated(convolution(inputs, (10, 4), 2, "stem"), "stem")
    for number in range(1, BLOCKS + 1):
        x = layers.ReLU(name=f"block{number}_depthwise_relu")(depthwise(x, (3, 3), f"block{number}_depthwise"))
        x = activated(convolution(x, (1, 1), 1, f"block{number}_pointwise"), f"block{number}_pointwise")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(outputs, name="logits")(x), name="ds_cnn")


def convolution(x: Any, size: tuple[int, int], stride: int, name: str) -> Any:
    """Convolve to `CHANNELS` without bias, initialised as He et al. 2015."""
    return layers.Conv2D(
        CHANNELS, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
