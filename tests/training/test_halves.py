"""Halves of a batch are used where no layer looks across examples."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.training.halves import halves, separable


def model_of(*layers) -> keras.Model:
    return keras.Sequential([keras.layers.Input((6, 6, 2)), *layers, keras.layers.Flatten(), keras.layers.Dense(3)])


def test_rows_are_kept_in_order_and_scalars_go_to_both():
    first, second = halves(tf.constant([[1.0], [2.0], [3.0], [4.0]]))
    np.testing.assert_array_equal(np.concatenate([first, second])[:, 0], [1, 2, 3, 4])
    assert [float(part) for part in halves(tf.constant(5.0))] == [5.0, 5.0]


def test_plain_layers_are_separable_nested_too():
    assert separable(model_of(keras.layers.Conv2D(3, 3), model_of_inner(), keras.layers.Dropout(0.5)))


def model_of_inner() -> keras.Model:
    return keras.Sequential([keras.layers.Input((4, 4, 3)), keras.layers.Conv2D(3, 3)])


class Centred(keras.layers.Layer):
    """Subtracts the batch's mean."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(),
        keras.layers.ActivityRegularization(l2=0.1),
        keras.layers.Conv2D(3, 3, activity_regularizer="l2"),
        keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0)),
        Centred(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_look_or_may_look_across_examples_are_not(layer):
    assert not separable(model_of(layer))
    assert not separable(model_of(keras.Sequential([keras.layers.Input((6, 6, 2)), layer])))


def test_bare_operations_of_a_functional_model_are_not_known_nested_too():
    inputs = keras.Input((3,))
    centred = keras.Model(inputs, inputs - keras.ops.mean(inputs, axis=0, keepdims=True))
    assert not separable(centred)
    assert not separable(keras.Sequential([keras.layers.Input((3,)), centred]))
