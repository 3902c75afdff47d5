"""Batch normalisation's statistics are measured for the weights a stage ends with."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pixels import Pixels
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.recalibrate import Recalibration

X = np.random.default_rng(0).normal(3.0, 2.0, (40, 4, 4, 2)).astype(np.float32)
DATA = TrainingData(tf.constant(X), tf.zeros(40), tf.ones(40), Pixels((4, 4, 2), ("a", "b"), "0-1", 1.0, 0.0))
ROWS = np.arange(40).reshape(4, 10).astype(np.int32)


def model(**options) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [layers.Input((4, 4, 2)), layers.Conv2D(3, 1), layers.BatchNormalization(**options), layers.Dropout(0.5)]
    return keras.Sequential([*parts, layers.Flatten(), layers.Dense(2)])


def test_statistics_are_the_means_over_batches_and_nothing_else_changes():
    student = model()
    before = [v.numpy() for v in student.variables]
    Recalibration(student, DATA)(ROWS)
    z = student.layers[0](X).numpy().reshape(4, 10 * 16, 3)  # (batches, examples and places, channels)
    norm = student.layers[1]
    np.testing.assert_allclose(norm.moving_mean.numpy(), z.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), z.var(axis=1).mean(axis=0), rtol=1e-4)
    for variable, value in zip(student.variables, before, strict=True):
        if variable is not norm.moving_mean and variable is not norm.moving_variance:
            np.testing.assert_array_equal(variable.numpy(), value)


def test_frozen_layers_and_inference_calls_keep_theirs():
    frozen = model(trainable=False)
    inputs = keras.Input((4, 4, 2))
    norm = keras.layers.BatchNormalization()
    inference = keras.Model(inputs, keras.layers.Flatten()(norm(inputs, training=False)))
    for student in (frozen, inference):
        before = [v.numpy() for v in student.variables]
        Recalibration(student, DATA)(ROWS)
        for variable, value in zip(student.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
