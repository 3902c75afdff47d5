"""Broadcasted residual learning for keyword spotting (Kim et al. 2021).

A block looks at bands by a depthwise convolution over them, then, with bands averaged away, at time by a
dilated depthwise convolution, whose result is added to every band. So most of its work is done on a
sequence, not on a picture.

Two things are stock Keras where the paper's are not: bands are normalised together (batch instead of
sub-spectral normalisation), and where their number is halved they are averaged in pairs (TensorFlow's
depthwise convolution has one stride for both axes).
"""

from __future__ import annotations

from typing import Any

import keras

from spiral_cli.registry import models

layers = keras.layers

WIDTH = 2  # the paper's tau: BC-ResNet-2
STAGES = (  # of the paper's table 1: blocks, channels for a width of 1, halves the bands, dilation in frames
    (2, 8, False, 1),
    (2, 12, True, 2),
    (4, 16, True, 4),
    (4, 20, False, 8),
)


@models.register("bc_resnet", takes="audio")
def bc_resnet(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """BC-ResNet-2: residual blocks over bands and over time, broadcast to each other (Kim et al. 2021); 27 k weights.

    Args:
        input_shape: (frames, mels, 1).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="spectrogram")
    x = convolution(inputs, 16 * WIDTH, (5, 5), "stem", strides=(1, 2))
    x = layers.ReLU(name="stem_relu")(x)  # (B, frames, bands, channels) from here on
    for stage, (blocks, channels, halves, dilation) in enumerate(STAGES, start=1):
        for number in range(1, blocks + 1):
            name = f"stage{stage}_block{number}"
            if number > 1:
                x = block(x, x, dilation, name)
                continue
            if halves and x.shape[2] > 1:
                x = layers.AveragePooling2D((1, 2), name=f"{name}_halved")(x)
            x = convolution(x, channels * WIDTH, 1, f"{name}_mix")
            x = block(layers.ReLU(name=f"{name}_mix_relu")(x), None, dilation, name)
    x = layers.DepthwiseConv2D(
        5, padding="same", use_bias=False, depthwise_initializer="he_normal", name="head_depthwise"
    )(x)
    x = layers.BatchNormalization(name="head_depthwise_norm")(x)
    x = convolution(x, 32 * WIDTH, 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="head_relu")(x))
    return keras.Model(inputs, layers.Dense(outputs, name="logits")(x), name="bc_resnet")


def block(x: Any, shortcut: Any | None, dilation: int, name: str) -> Any:
    """Return relu(shortcut + bands(x) + time(mean of bands(x))), (B, frames, bands, channels).

    Args:
        x: (B, frames, bands, channels).
        shortcut: as ``x``, or None where the number of channels has just changed.
        dilation: frames between those that the convolution over time looks at.
        name: of the layers.
    """
    channels = x.shape[-1]
    bands = layers.DepthwiseConv2D(
        (1, 3), padding="same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_bands"
    )(x)
    bands = layers.BatchNormalization(name=f"{name}_bands_norm")(bands)
    time = layers.AveragePooling2D((1, bands.shape[2]), name=f"{name}_mean")(bands)  # (B, frames, 1, channels)
    time = layers.DepthwiseConv2D(
        (3, 1),
        padding="same",
        dilation_rate=(dilation, 1),
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_time",
    )(time)
    time = layers.BatchNormalization(name=f"{name}_time_norm")(time)
    time = layers.Activation("silu", name=f"{name}_time_silu")(time)
    time = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_point")(time)
    time = layers.SpatialDropout2D(0.1, name=f"{name}_dropout")(time)
    summands = [bands, time] if shortcut is None else [shortcut, bands, time]
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")(summands))


def convolution(x: Any, channels: int, size: Any, name: str, strides: Any = 1) -> Any:
    """Convolve without bias, initialised as He et al. 2015, then normalise."""
    x = layers.Conv2D(
        channels, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
