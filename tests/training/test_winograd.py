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
    axis_matrices,
    conv2d,
    fits,
    inverse,
    pays,
    quick_convolutions,
    tile_matrices,
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("outputs", [2, 4])
def test_a_tile_is_the_correlation_of_every_pair_of_unit_vectors(kernel, outputs):
    """The form is bilinear, so unit vectors say all: x at i meets the tap at j in the output i - j."""
    tile, size = tile_matrices(outputs, kernel), outputs + kernel - 1
    for i in range(size):
        for j in range(kernel):
            y = tile.out @ (tile.kernel[:, j] * tile.data[:, i])
            expected = np.eye(outputs)[i - j] if 0 <= i - j < outputs else np.zeros(outputs)
            np.testing.assert_allclose(y, expected, atol=1e-12)


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
    st.tuples(st.integers(5, 13), st.integers(5, 13)),
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
    assert not pays(28, 28, (5, 5), 1, 20, False)
    assert not pays(32, 32, (3, 3), 16, 16, True)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"kernel_size": 1},
        {"kernel_size": 7},
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
