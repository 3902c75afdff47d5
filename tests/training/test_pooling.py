"""The faster pooling gradient is TensorFlow's own, ties included."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spiral_cli.training.pooling import max_pool, quick_pooling


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float32, (2, 4, 6, 3), elements=st.integers(-2, 2)),
    arrays(np.float32, (2, 2, 3, 3), elements=st.integers(-9, 9)),
)
def test_values_and_gradients_equal_tensorflows_even_with_ties(x, upstream):
    results = []
    for pool in (lambda v: max_pool(v, (2, 2)), lambda v: tf.nn.max_pool2d(v, 2, 2, "VALID")):
        with tf.GradientTape() as tape:
            point = tf.constant(x)
            tape.watch(point)
            y = pool(point)
        results.append((y.numpy(), tape.gradient(y, point, output_gradients=tf.constant(upstream)).numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("side", "layer"),
    [
        (8, {"pool_size": 2}),
        (9, {"pool_size": 3}),
        (7, {"pool_size": 2}),
        (8, {"pool_size": 3, "strides": 2}),
        (7, {"pool_size": 2, "padding": "same"}),
    ],
)
def test_a_model_has_the_same_gradient_inside_the_context_and_its_own_call_after(side, layer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((side, side, 2)), keras.layers.MaxPooling2D(**layer)])
    x = tf.random.normal((3, side, side, 2))

    def gradient() -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.square(model(x)))
        return tape.gradient(y, x).numpy()

    plain = gradient()
    with quick_pooling(model):
        quick = gradient()
    np.testing.assert_array_equal(plain, quick)
    assert "call" not in vars(model.layers[-1])
