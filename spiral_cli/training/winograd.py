"""Convolutions with fewer multiplications on the CPU, where that pays (Winograd 1980; Lavin and Gray 2016).

A convolution along one axis is ``out @ ((kernel @ w) * (data @ x))`` with three constant matrices. In
two dimensions the product in the middle becomes one matrix product over channels for every point,
with several times fewer multiplications than the sum over the kernel's window. Everything is a
matrix product, so TensorFlow's own gradients of these are the convolution's, at the same price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.hooks import hooked

KERNELS = (3, 4, 5, 6, 7)
LARGEST = 12  # inputs of a tile; its rounding stays near 1e-5 of the largest output
REAL_ONLY = 8  # up to here real points are exact enough, and each costs one product
# The real points, best first for rounding (found by trying pairs of small fractions in all sizes).
POINTS = tuple(Fraction(point) for point in ("0", "1/2", "-1/2", "2", "-2", "3/4", "-3/4", "4/3", "-4/3"))
# Measured on two cores with oneDNN, in multiplications of a plain convolution: holding one value at
# a point costs 64 (memory), a multiplication of the ways there and back 0.4. The margin covers what
# the rule does not see: for sixteen shapes around it, whatever it takes was faster.
VALUE_COST = 64
WAY_COST = 0.4
MARGIN = 1.3


@dataclass(frozen=True)
class Axis:
    """The matrices of a convolution along one axis of ``points`` points in all tiles.

    Attributes:
        data: (points, inputs), zero padding included.
        kernel: (points, kernel).
        out: (outputs, points).
    """

    data: np.ndarray
    kernel: np.ndarray
    out: np.ndarray


@cache
def tile_matrices(outputs: int, kernel: int) -> Axis:
    """Return the matrices of one tile, of ``outputs + kernel - 1`` inputs.

    Toom and Cook's product of polynomials by their values at `POINTS` and infinity, transposed, in
    exact fractions. More than `REAL_ONLY` values take the remainder by x² + 1, which is the value at
    i, as two of them: its product takes three (Karatsuba), but rounds far less than two more real
    points do (Barabasz and Gregg, Winograd convolution for deep neural networks: efficient point
    selection and superlinear polynomials, 2019). Rows of ``data`` and ``kernel`` are scaled to equal
    size, which halves the rounding.
    """
    size = outputs + kernel - 1
    complex_point = size > REAL_ONLY
    points = POINTS[: size - 1 - 2 * complex_point]

    def values(degree: int) -> list[list[Fraction]]:
        rows = [[point**power for power in range(degree)] for point in points]
        if complex_point:
            rows += [[Fraction((1, 0, -1, 0)[(power - part) % 4]) for power in range(degree)] for part in (0, 1)]
        return [*rows, [Fraction(power == degree - 1) for power in range(degree)]]

    split, join = np.eye(size), np.eye(size)
    if complex_point:  # (a + bi)(c + di) = ac - bd + ((a + b)(c + d) - ac - bd) i
        split = np.insert(split, size - 1, split[-3] + split[-2], axis=0)
        join = np.insert(join, size - 1, 0, axis=1)
        join[-3:-1, -4:-1] = [[1, -1, 0], [-1, -1, 1]]
    data = (np.array(inverse(values(size)), float) @ join).T
    taps = split @ np.array(values(kernel), float)
    scale = np.sqrt(np.abs(data).max(axis=1) / np.abs(taps).max(axis=1))[:, None]
    return Axis(data / scale, taps * scale, (split @ np.array(values(outputs), float)).T)


def inverse(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Return the exact inverse of a regular square matrix by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                factor = rows[k][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


def tiling(outputs: int, kernel: int) -> tuple[int, int]:
    """Return how many tiles of how many outputs cover an axis with the fewest products."""
    tiles = [(-(-outputs // tile), tile) for tile in range(1, LARGEST - kernel + 2)]
    return min(tiles, key=lambda tiles: tiles[0] * len(tile_matrices(tiles[1], kernel).data))


@cache
def axis_matrices(length: int, kernel: int, same: bool) -> Axis:
    """Return the matrices of a whole axis of ``length`` inputs.

    Args:
        length: inputs along the axis.
        kernel: its length along the axis.
        same: pad with zeros to as many outputs as inputs; otherwise only where the kernel fits.
    """
    before = (kernel - 1) // 2 if same else 0
    outputs = length if same else length - kernel + 1
    tiles, width = tiling(outputs, kernel)
    tile = tile_matrices(width, kernel)
    products, size = tile.data.shape
    data = np.zeros((tiles * products, before + tiles * width + kernel - 1))
    out = np.zeros((tiles * width, tiles * products))
    for i in range(tiles):
        points = slice(i * products, (i + 1) * products)
        data[points, i * width : i * width + size] = tile.data
        out[i * width : (i + 1) * width, points] = tile.out
    # What lies outside the inputs is zero, so its columns are not needed.
    matrices = data[:, before : before + length], np.tile(tile.kernel, (tiles, 1)), out[:outputs]
    return Axis(*(matrix.astype(np.float32) for matrix in matrices))


def conv2d(x: tf.Tensor, kernel: tf.Tensor, same: bool) -> tf.Tensor:
    """Convolve with stride 1, equal to `tf.nn.conv2d` up to rounding.

    Args:
        x: (batch, height, width, channels), sides known.
        kernel: (height, width, channels, filters), sides in `KERNELS`.
        same: zero padding, else none.

    Returns:
        (batch, height', width', filters).
    """
    rows, columns = (axis_matrices(x.shape[i + 1], kernel.shape[i], same) for i in range(2))
    inputs = along(rows.data, columns.data, tf.transpose(x, (1, 2, 0, 3)))  # (P, Q, batch, channels)
    taps = along(rows.kernel, columns.kernel, kernel)  # (P, Q, channels, filters)
    return tf.transpose(along(rows.out, columns.out, tf.matmul(inputs, taps)), (2, 0, 1, 3))


def along(rows: np.ndarray, columns: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """Multiply the first axis of ``x`` (height, width, …) by ``rows`` and the second by ``columns``."""
    width, dynamic = x.shape[1], tf.shape(x)
    rest = [dynamic[i] if x.shape[i] is None else x.shape[i] for i in range(2, len(x.shape))]
    x = tf.matmul(rows, tf.reshape(x, (x.shape[0], -1)))
    x = tf.matmul(columns, tf.reshape(x, (len(rows), width, -1)))
    return tf.reshape(x, (len(rows), len(columns), *rest))


def pays(height: int, width: int, kernel: tuple[int, int], channels: int, filters: int, same: bool) -> bool:
    """Say whether `conv2d` multiplies so much less that its way to the points and back is worth it.

    Args:
        height, width: of the inputs.
        kernel: its height and width.
        channels, filters: of the inputs and the outputs.
        same: zero padding, else none.
    """
    rows, columns = axis_matrices(height, kernel[0], same), axis_matrices(width, kernel[1], same)
    (high, points_high), (wide, points_wide) = rows.out.shape, columns.out.shape
    points = points_high * points_wide
    plain = high * wide * kernel[0] * kernel[1] * channels * filters
    way_in = (points_high * height + points) * width
    way_out = (points + wide * points_wide) * high
    ways = WAY_COST * (channels * way_in + filters * way_out)
    values = VALUE_COST * points * (channels + filters)
    return plain > MARGIN * (points * channels * filters + ways + values)


def quick_convolutions(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which the model's 2-D convolutions are traced this way where it pays."""
    layers = [layer for layer in model._flatten_layers() if fits(layer)]
    return hooked({layer: _quick_operation(layer) for layer in layers}, "convolution_op")


def fits(layer: keras.layers.Layer) -> bool:
    """Say whether ``layer`` is a plain 2-D convolution of stride 1 with a kernel this can take."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.padding in ("same", "valid")
        and set(layer.strides) == set(layer.dilation_rate) == {layer.groups} == {1}
        and set(layer.kernel_size) <= set(KERNELS)
    )


def _quick_operation(layer: keras.layers.Conv2D) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the layer's convolution without bias, by `conv2d` where the input's sides let it pay."""
    original, same = layer.convolution_op, layer.padding == "same"

    def convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        height, width, channels = inputs.shape[1:]
        size = tuple(layer.kernel_size)
        exact = inputs.dtype == tf.float32  # the ways to the points and back lose too much of 16 bits
        known = exact and None not in (height, width) and (same or (height >= size[0] and width >= size[1]))
        if known and pays(height, width, size, channels, layer.filters, same):
            return conv2d(inputs, tf.convert_to_tensor(kernel), same)
        return original(inputs, kernel)

    return convolution
