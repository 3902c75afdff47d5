"""Batch normalisation as one operation is Keras' own: values, gradients and moving statistics, up to rounding."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.training.normalization import fits, fused_normalizations

SHAPE = (4, 5, 3)
X = np.random.default_rng(0).normal(2.0, 3.0, (6, *SHAPE)).astype(np.float32)
G = np.random.default_rng(1).normal(size=X.shape).astype(np.float32)


def norm(shape=SHAPE, **options) -> keras.layers.BatchNormalization:
    layer = keras.layers.BatchNormalization(**options)
    layer.build((None, *shape))
    for variable, value in zip(layer.trainable_variables, (1.5, -0.5), strict=False):
        variable.assign(np.full(variable.shape, value) + np.arange(variable.shape[0]))
    return layer


def trained(layer: keras.layers.Layer, x: np.ndarray) -> list[np.ndarray]:
    """Return the output of a training call, the gradients and the moving statistics after it."""
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        y = layer(inputs, training=True)
    gradients = tape.gradient(y, [inputs, *(v.value for v in layer.trainable_variables)], tf.constant(G[: len(x)]))
    return [np.array(one) for one in (y, *gradients, *layer.non_trainable_variables)]


@pytest.mark.parametrize("examples", [6, 1])
@pytest.mark.parametrize(
    "options",
    [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 1e-5, "axis": 3}],
    ids=str,
)
def test_it_is_keras_own(options, examples):
    plain = trained(norm(**options), X[:examples])
    layer = norm(**options)
    model = keras.Sequential([keras.Input(SHAPE), layer])
    with fused_normalizations(model):
        assert "call" in vars(layer)
        fused = trained(layer, X[:examples])
    assert "call" not in vars(layer)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


def test_one_value_a_channel_has_no_variance():
    layer = norm((1, 1, 3))
    with fused_normalizations(keras.Sequential([keras.Input((1, 1, 3)), layer])):
        layer(tf.ones((1, 1, 1, 3)), training=True)
    np.testing.assert_allclose(layer.moving_variance, 0.99 * np.ones(3), rtol=1e-6)


def test_in_inference_the_layer_is_left_to_itself():
    layer = norm()
    expected = layer(X, training=False)
    with fused_normalizations(keras.Sequential([keras.Input(SHAPE), layer])):
        np.testing.assert_array_equal(layer(X, training=False), expected)


def test_what_one_operation_cannot_do_is_left_alone():
    inputs = keras.Input(SHAPE)
    still = keras.layers.BatchNormalization()
    still(inputs, training=False)
    frozen = norm(trainable=False)
    others = [
        norm(axis=1),
        norm(synchronized=True),
        norm(dtype="mixed_float16"),
        norm((3,)),
        norm((4, 3)),
        still,
        frozen,
    ]
    assert fits(norm()) and not any(fits(layer) for layer in [*others, still, frozen])
