"""The places at which a detector answers, what its numbers mean there, and which objects each has to find.

A place is the middle of a cell of a grid laid over the image; there is one grid for each stride. At each place a
model gives a logit for every class and four numbers: how far the box's middle is from the place (x, y), in
strides, and the logarithm of the box's width and height over `IDEAL` strides. All of them stay within a few units
of zero, so that one range of eight bits holds classes and boxes together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

NEAR = 1.5  # strides: how far from an object's middle, along x and y, a place may have to find it (Tian et al. 2019)
IDEAL = 4.0  # strides: the side of the objects that a grid is best at
LARGEST = 5.0  # of the logarithm of a side over the ideal one: 600 strides, more than any image has
STRIDES = (4, 8, 16, 32, 64)


def grid(stride: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns of cells cover an image of ``shape`` (height, width)."""
    return -(-shape[0] // stride), -(-shape[1] // stride)


def count(strides: Sequence[int], shape: tuple[int, int]) -> int:
    """Return how many places there are."""
    return sum(rows * columns for rows, columns in (grid(stride, shape) for stride in strides))


def strides_of(places: int, shape: tuple[int, int]) -> tuple[int, ...] | None:
    """Return the strides of neighbouring size that make so many places in an image of ``shape``, or None."""
    spans = itertools.combinations(range(len(STRIDES) + 1), 2)
    found = (STRIDES[start:end] for start, end in sorted(spans, key=lambda span: span[1] - span[0]))
    return next((one for one in found if count(one, shape) == places), None)


def places(strides: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """Return x, y and stride of every place (places, 3) float32: row by row, one grid after the other."""
    parts = []
    for stride in strides:
        rows, columns = grid(stride, shape)
        y, x = np.mgrid[:rows, :columns]
        middles = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        parts.append(np.concatenate([middles, np.full((len(middles), 1), stride)], axis=1))
    return np.concatenate(parts).astype(np.float32)


def boxes_at(numbers: tf.Tensor, at: np.ndarray) -> tf.Tensor:
    """Return the boxes (…, places, 4) that a model's four numbers (…, places, 4) mean at places (places, 3)."""
    middles = at[:, :2] + numbers[..., :2] * at[:, 2:]
    halves = 0.5 * IDEAL * at[:, 2:] * tf.exp(tf.clip_by_value(numbers[..., 2:], -LARGEST, LARGEST))
    return tf.concat([middles - halves, middles + halves], axis=-1)


def assigned(y: tf.Tensor, at: np.ndarray) -> tf.Tensor:
    """Return which object each place has to find, (batch, places) int32, -1 where none.

    A place has to find an object of its grid whose middle is within `NEAR` strides of it along x and y, if it
    lies inside the object's box (Tian et al. 2019, centre sampling); the place nearest to the middle always has
    to. An object is of the grid for which its size is nearest to ideal (after Lin et al. 2017, FPN). Of several
    objects a place takes the one whose middle is nearest, in the object's own width and height.

    Args:
        y: (batch, most, 5) left, top, right, bottom and class, which is below 0 where there is no object.
        at: places (places, 3).
    """
    middle, size = 0.5 * (y[..., :2] + y[..., 2:4]), tf.maximum(y[..., 2:4] - y[..., :2], 1e-3)  # (B, M, 2)
    away = tf.abs(at[None, :, None, :2] - middle[:, None])  # (B, P, M, 2)
    stride = at[None, :, None, 2:]
    inside = tf.reduce_all((away <= NEAR * stride) & (away <= 0.5 * size[:, None]), axis=-1)
    own_cell = tf.reduce_all(away <= 0.5 * stride, axis=-1)
    strides = np.unique(at[:, 2])
    side = tf.exp(0.5 * tf.reduce_sum(tf.math.log(size), axis=-1))  # (B, M)
    misfit = tf.abs(tf.math.log(side[..., None] / (IDEAL * strides)))  # (B, M, strides)
    fitting = tf.gather(tf.constant(strides), tf.argmin(misfit, axis=-1))  # (B, M)
    wanted = (inside | own_cell) & (fitting[:, None] == at[None, :, None, 2]) & (y[:, None, :, 4] >= 0)
    far = tf.reduce_sum(tf.square(away / size[:, None]), axis=-1)
    nearest = tf.argmin(tf.where(wanted, far, np.inf), axis=-1, output_type=tf.int32)
    return tf.where(tf.reduce_any(wanted, axis=-1), nearest, -1)
