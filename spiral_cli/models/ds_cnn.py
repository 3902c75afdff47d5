"""Depthwise separable convolutions for keyword spotting (Zhang et al. 2017, "Hello Edge")."""

from __future__ import annotations

import keras

from spiral_cli.models.mobilenet_small import activated, separable
from spiral_cli.registry import models

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
    x = keras.layers.Conv2D(
        CHANNELS, (10, 4), 2, padding="same", use_bias=False, kernel_initializer="he_normal", name="stem"
    )(inputs)
    x = activated(x, "stem")
    for number in range(1, BLOCKS + 1):
        x = separable(x, CHANNELS, 1, f"block{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(outputs, name="logits")(x), name="ds_cnn")
