"""A small detector without anchors: a residual network whose coarse maps are added to its fine one."""

from __future__ import annotations

import math
from typing import Any

import keras

from spiral_cli.models.resnet import convolution, residual
from spiral_cli.registry import models

STRIDE = 8  # of the grid it answers on
STAGES = ((32, 4), (64, 8), (96, 16), (128, 32))  # channels, stride
WIDTH = 64  # channels where the maps meet
MOMENTUM = 0.9  # of normalisations: sets of boxes are small, and an epoch is few steps
RARE = 0.01  # the probability of an object that all places start with (Lin et al. 2017, section 4.1)


@models.register("detector_small", takes="boxes")
def detector_small(input_shape: tuple[int, int, int], outputs: int) -> keras.Model:
    """A small detector: residual network (He et al. 2016), feature pyramid (Lin et al. 2017), one grid; 0.8 M weights.

    As in FCOS (Tian et al. 2019) every place of the grid, one for 8 x 8 pixels, says by itself what is there.

    Args:
        input_shape: (height, width, channels).
        outputs: number of classes and 4.

    Returns:
        A model from (batch, *input_shape) to (batch, places, outputs): logits of the classes, then the box, as
        `spiral_cli.tasks.places` has it.
    """
    inputs = keras.Input(input_shape, name="image")
    x = convolution(inputs, 16, 3, 2, "stem", MOMENTUM)
    x = keras.layers.ReLU(name="stem_relu")(x)
    maps = []
    for channels, stride in STAGES:
        x = convolution(x, channels, 3, 2, f"down{stride}", MOMENTUM)
        x = keras.layers.ReLU(name=f"down{stride}_relu")(x)
        x = residual(x, channels, 1, f"block{stride}", MOMENTUM)
        maps.append(x)
    x = pyramid(maps[1:])
    for number in (1, 2):
        x = convolution(x, WIDTH, 3, 1, f"head{number}", MOMENTUM)
        x = keras.layers.ReLU(name=f"head{number}_relu")(x)
    rare = keras.initializers.Constant(-math.log((1.0 - RARE) / RARE))
    classes = keras.layers.Conv2D(outputs - 4, 1, bias_initializer=rare, name="classes")(x)
    boxes = keras.layers.Conv2D(4, 1, name="boxes")(x)
    both = keras.layers.Concatenate(name="both")([classes, boxes])
    return keras.Model(inputs, keras.layers.Reshape((-1, outputs), name="places")(both), name="detector_small")


def pyramid(maps: list[Any]) -> Any:
    """Return the finest of ``maps`` with all coarser ones added to it, (batch, h, w, `WIDTH`)."""
    (finest, *coarser) = [
        convolution(one, WIDTH, 1, 1, f"lateral{STRIDE << place}", MOMENTUM) for place, one in enumerate(maps)
    ]
    x = None
    for place, one in reversed(list(enumerate([finest, *coarser]))):
        if x is not None:
            x = keras.layers.UpSampling2D(2, name=f"up{STRIDE << place}")(x)
            x = fitted(x, one, STRIDE << place)
            one = keras.layers.Add(name=f"sum{STRIDE << place}")([one, x])
        x = keras.layers.ReLU(name=f"sum{STRIDE << place}_relu")(one)
    return x


def fitted(x: Any, other: Any, stride: int) -> Any:
    """Cut off the row or column that a doubled map has more than the ``other`` one, whose size may be odd."""
    rows, columns = (x.shape[axis] - other.shape[axis] for axis in (1, 2))
    if not (rows or columns):
        return x
    return keras.layers.Cropping2D(((0, rows), (0, columns)), name=f"fit{stride}")(x)
