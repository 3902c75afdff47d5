"""The quick convolution is TensorFlow's own, values and gradients, up to rounding."""

from __future__ import annotations

from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.training.winograd import (
    KERNELS,
    LARGEST,
    axis_matrices,
    conv2d,
    fits,
    inverse,
    pays,
    quick_convolutions,
    tile_matrices,
    tiling,
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("outputs", range(1, 6))
def test_a_tile_is_the_correlation_of_every_pair_of_unit_vectors(kernel, outputs):
    """The form is bilinear, so unit vectors say all: x at i meets the tap at j in the output i - j."""
    tile, size = tile_matrices(outputs, kernel), outputs + kernel - 1
    for i in range(size):
        for j in range(kernel):
            y = tile.out @ (tile.kernel[:, j] * tile.data[:, i])
            expected = np.eye(outputs)[i - j] if 0 <= i - j < outputs else np.zeros(outputs)
            np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", range(7, LARGEST + 1))
def test_a_tile_rounds_little_in_single_precision(size, kernel):
    outputs = size - kernel + 1
    tile = tile_matrices(outputs, kernel)
    data, taps, out = (matrix.astype("f4") for matrix in (tile.data, tile.kernel, tile.out))
    rng = np.random.default_rng(size)
    x, w = rng.normal(size=(1000, size)).astype("f4"), rng.normal(size=(1000, kernel)).astype("f4")
    exact = sum(x[:, j : j + outputs].astype(float) * w[:, j : j + 1] for j in range(kernel))
    assert np.abs(((x @ data.T) * (w @ taps.T)) @ out.T - exact).max() < 2e-5 * np.abs(exact).max()


def test_an_axis_is_covered_with_the_fewest_products():
    # 8 values of 5 taps: one tile of 12 inputs takes 13 products, two of 8 take 16.
    assert tiling(8, 5) == (1, 8) and len(tile_matrices(8, 5).data) == 13
    assert tiling(4, 5) == (1, 4) and len(tile_matrices(4, 5).data) == 8
    assert tiling(12, 3) == (2, 6) and len(tile_matrices(6, 3).data) == 8


def test_the_inverse_is_exact_and_swaps_rows_where_it_must():
    assert inverse([[0, 2], [4, 0]]) == [[0, Fraction(1, 4)], [Fraction(1, 2), 0]]


@given(st.integers(1, 21), st.sampled_from(KERNELS), st.booleans(), st.integers(0, 2**31))
def test_an_axis_of_any_length_is_numpys_correlation(length, kernel, same, seed):
    length = length if same else length + kernel - 1
    rng = np.random.default_rng(seed)
    x, taps = rng.normal(size=length), rng.normal(size=kernel)
    axis = axis_matrices(length, kernel, same)
    before = (kernel - 1) // 2
    padded = np.pad(x, (before, kernel - 1 - before)) if same else x
    expected = np.correlate(padded, taps, "valid")
    assert axis.out.shape[0] == len(expected)
    np.testing.assert_allclose(axis.out @ ((axis.kernel @ taps) * (axis.data @ x)), expected, atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.integers(7, 17), st.integers(7, 17)),
    st.tuples(st.sampled_from(KERNELS), st.sampled_from(KERNELS)),
    st.booleans(),
)
def test_values_and_both_gradients_are_tensorflows(sides, kernel, same):
    rng = np.random.default_rng([*sides, *kernel])
    x = tf.constant(rng.normal(size=(2, *sides, 3)).astype("f4"))
    w = tf.constant(rng.normal(size=(*kernel, 3, 4)).astype("f4"))
    results = []
    for convolve in (lambda x, w: conv2d(x, w, same), lambda x, w: tf.nn.conv2d(x, w, 1, "SAME" if same else "VALID")):
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y = convolve(x, w)
            loss = tf.reduce_sum(tf.sin(y))
        results.append([y, *tape.gradient(loss, [x, w])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(tf.reduce_max(tf.abs(theirs))))


def test_a_batch_of_unknown_size_is_taken():
    w = np.ones((3, 3, 2, 2), "f4")
    traced = tf.function(lambda x: conv2d(x, tf.constant(w), True), input_signature=[tf.TensorSpec((None, 6, 6, 2))])
    assert traced(np.ones((5, 6, 6, 2), "f4")).shape == (5, 6, 6, 2)
    np.testing.assert_allclose(traced(np.ones((1, 6, 6, 2), "f4"))[0, 3, 3], [18, 18], rtol=1e-5)


def test_it_is_used_where_channels_are_many_and_images_small():
    assert pays(12, 12, (5, 5), 20, 50, False)
    assert pays(8, 8, (3, 3), 64, 64, True)
    assert not pays(56, 56, (3, 3), 64, 64, True)
    assert not pays(28, 28, (5, 5), 1, 20, False)
    assert not pays(32, 32, (3, 3), 16, 16, True)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"kernel_size": 1},
        {"kernel_size": 8},
        {"data_format": "channels_first"},
    ],
)
def test_other_convolutions_are_left_alone(settings):
    assert not fits(keras.layers.Conv2D(4, **{"kernel_size": 3, **settings}))
    assert not fits(keras.layers.DepthwiseConv2D(3))


def test_a_model_computes_the_same_inside_the_context_and_its_own_way_after():
    keras.utils.set_random_seed(0)
    layer = keras.layers.Conv2D(64, 5, activation="relu", bias_initializer="random_normal", name="conv")
    inner = keras.Sequential([keras.layers.Input((12, 12, 64)), layer])
    model = keras.Sequential([keras.layers.Input((12, 12, 64)), inner, keras.layers.Flatten()])
    x = tf.random.normal((3, 12, 12, 64))
    plain = model(x)
    with quick_convolutions(model):
        graph = tf.function(model).get_concrete_function(x).graph
        quick = model(x)
    assert not [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    np.testing.assert_allclose(plain, quick, atol=1e-4 * float(tf.reduce_max(plain)))
    assert "convolution_op" not in vars(layer)
    assert fits(layer)
