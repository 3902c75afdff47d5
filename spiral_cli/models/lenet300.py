"""LeNet-300-100, the multilayer perceptron of the pruning literature."""

from __future__ import annotations

import keras

from spiral_cli.registry import models


@models.register("lenet300", "mlp")
def lenet300(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """LeNet-300-100: dense layers of 300 and 100 (LeCun et al. 1998); 267 k weights at 28x28.

    Args:
        input_shape: (height, width, channels).
        outputs: number of logits.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = keras.layers.Dense(300, activation="relu", name="dense_1")(x)
    x = keras.layers.Dense(100, activation="relu", name="dense_2")(x)
    logits = keras.layers.Dense(outputs, name="logits")(x)
    return keras.Model(inputs, logits, name="lenet300")
