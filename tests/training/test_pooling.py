"""Bias and activation after max-pooling: the same outputs to the last bit, the same gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.training.pooling import late_biases, pairs

layers = keras.layers


def chain(activation: str | None, padding: str = "valid", pool: int = 2, strides: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((11, 10, 3)),
            layers.Conv2D(5, 3, activation=activation, padding=padding, bias_initializer="normal"),
            layers.MaxPooling2D(pool, strides, padding=padding),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def traced(model: keras.Model, x: np.ndarray, late: bool) -> list[np.ndarray]:
    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            if late:
                with late_biases(model):
                    outputs = model(inputs, training=True)
            else:
                outputs = model(inputs, training=True)
            loss = tf.reduce_sum(tf.square(outputs))
        return [outputs, *tape.gradient(loss, [inputs, *(v.value for v in model.trainable_variables)])]

    return [one.numpy() for one in step(tf.constant(x))]


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 2), (3, 1)])
def test_outputs_are_the_same_bits_and_gradients_equal(activation, padding, pool, strides):
    model = chain(activation, padding, pool, strides)
    x = np.random.default_rng(0).normal(size=(6, 11, 10, 3)).astype(np.float32)
    assert len(pairs(model)) == 1
    ours, theirs = traced(model, x, True), traced(model, x, False)
    np.testing.assert_array_equal(ours[0], theirs[0])
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert "call" not in vars(model.layers[0])  # the model is as it was


def branching(kind: str) -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    convolution = layers.Conv2D(2, 3, activation="tanh" if kind == "tanh" else None, use_bias=kind != "no bias")
    x = convolution(inputs)
    y = (layers.AveragePooling2D if kind == "average" else layers.MaxPooling2D)(2)(x)
    outputs = [layers.Flatten()(y)]
    if kind == "penalised":
        convolution.activity_regularizer = keras.regularizers.L2(0.1)
    if kind == "seen by another":
        outputs = [layers.Concatenate()([outputs[0], layers.Flatten()(x)])]
    if kind == "an output":
        outputs.append(x)
    if kind == "used twice":
        outputs = [layers.Concatenate()([outputs[0], layers.Flatten()(layers.MaxPooling2D()(convolution(inputs)))])]
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    "kind", ["tanh", "no bias", "average", "penalised", "seen by another", "an output", "used twice"]
)
def test_a_convolution_that_something_else_sees_stays_as_it_is(kind):
    assert pairs(branching(kind)) == []
    assert len(pairs(branching("plain"))) == 1


def test_a_nested_models_output_stays_as_it_is():
    inner = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3)])
    inputs = keras.Input((8, 8, 1))
    outer = keras.Model(inputs, layers.Flatten()(layers.MaxPooling2D()(inner(inputs))))
    assert pairs(outer) == []
