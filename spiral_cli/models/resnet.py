"""The residual networks for CIFAR of He et al. 2016, section 4.2.

Three stages of 16, 32 and 64 channels, n blocks each, two 3x3 convolutions a block: 6n + 2 layers.
The two shortcuts that change shape are 1x1 convolutions (option B). The paper pads with zeros
(option A); convolutions cost 1 % more weights in resnet20, but are stock layers that export and
lose channels like any other.
"""

from __future__ import annotations

from typing import Any

import keras

from spiral_cli.registry import models


@models.register("resnet20")
def resnet20(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """ResNet-20 for small images, 0.27 M weights (He et al. 2016, section 4.2)."""
    return resnet(input_shape, outputs, blocks=3)


@models.register("resnet32")
def resnet32(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """ResNet-32 for small images, 0.47 M weights (He et al. 2016, section 4.2)."""
    return resnet(input_shape, outputs, blocks=5)


@models.register("resnet56")
def resnet56(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """ResNet-56 for small images, 0.86 M weights (He et al. 2016, section 4.2)."""
    return resnet(input_shape, outputs, blocks=9)


def resnet(input_shape: tuple[int, int, int], outputs: int, blocks: int) -> keras.Model:
    """Build the residual network with ``blocks`` blocks a stage.

    Args:
        input_shape: (height, width, channels).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="image")
    x = convolution(inputs, 16, 3, 1, "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, channels in enumerate((16, 32, 64), start=1):
        for number in range(1, blocks + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            x = residual(x, channels, stride, f"stage{stage}_block{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(outputs, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(inputs, logits, name=f"resnet{6 * blocks + 2}")


def residual(x: Any, channels: int, stride: int, name: str, momentum: float = 0.99) -> Any:
    """Return relu(shortcut(x) + branch(x)), (batch, h / stride, w / stride, channels)."""
    branch = convolution(x, channels, 3, stride, f"{name}_conv1", momentum)
    branch = keras.layers.ReLU(name=f"{name}_relu1")(branch)
    branch = convolution(branch, channels, 3, 1, f"{name}_conv2", momentum)
    if stride != 1 or x.shape[-1] != channels:
        x = convolution(x, channels, 1, stride, f"{name}_shortcut", momentum)
    x = keras.layers.Add(name=f"{name}_add")([x, branch])
    return keras.layers.ReLU(name=f"{name}_relu2")(x)


def convolution(x: Any, channels: int, size: int, stride: int, name: str, momentum: float = 0.99) -> Any:
    """Convolve without bias, initialised as He et al. 2015, then normalise."""
    x = keras.layers.Conv2D(
        channels, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
