"""LeNet-5 in Caffe's form, the small convolutional network of the pruning literature."""

from __future__ import annotations

import keras

from spiral_cli.errors import UsageError
from spiral_cli.registry import models

SMALLEST = 16  # pixels: two valid 5x5 convolutions, each halved, leave one


@models.register("lenet5")
def lenet5(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """LeNet-5 (Caffe): convolutions of 20 and 50, dense 500 (LeCun et al. 1998); 431 k weights at 28x28.

    Args:
        input_shape: (height, width, channels).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).

    Raises:
        UsageError: the images are smaller than 16x16.
    """
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise UsageError(
            f"model lenet5 received images of {height}x{width}; it needs {SMALLEST}x{SMALLEST} or more for "
            "its 5x5 convolutions; use lenet300, resnet20 or mobilenet_small, or set data.image_size"
        )
    inputs = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(20, 5, name="conv_1")(inputs)
    x = keras.layers.MaxPooling2D(2, name="pool_1")(x)
    x = keras.layers.Conv2D(50, 5, name="conv_2")(x)
    x = keras.layers.MaxPooling2D(2, name="pool_2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(500, activation="relu", name="dense_1")(x)
    logits = keras.layers.Dense(outputs, name="logits")(x)
    return keras.Model(inputs, logits, name="lenet5")
