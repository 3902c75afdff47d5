"""Depthwise convolutions that start as He et al. 2015 mean it."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import keras


def depthwise(x: Any, size: tuple[int, int], name: str, *, stride: int = 1, dilation: tuple[int, int] = (1, 1)) -> Any:
    """Filter each channel of x (batch, height, width, channels) by a kernel of its own, then normalise.

    A filter sees the ``size`` values of one channel. Keras' ``he_normal`` counts those of all channels, so that
    kernels would start some ten times smaller than those of other layers and be the first to be pruned.
    """
    x = keras.layers.DepthwiseConv2D(
        size,
        stride,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=sqrt(2.0 / prod(size))),
        name=name,
    )(x)
    return keras.layers.BatchNormalization(name=f"{name}_norm")(x)
