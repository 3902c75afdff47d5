"""Batch normalisation's statistics for the weights a stage ends with.

Moving averages lag behind weights that a cut has just changed, by hundreds of steps at Keras'
momentum of 0.99; and the mean of several weights has statistics of its own (Izmailov et al. 2018).
So the statistics are measured anew: the plain mean over batches of training data.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.hooks import hooked
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.inference import as_written, in_inference

BATCHES = 100
Moments = dict[keras.layers.Layer, tuple[tf.Tensor, tf.Tensor]]


class Recalibration:
    """Measures the statistics of a model's batch normalisations; compiled once.

    Frozen layers, and layers that the model calls in inference mode, keep theirs.
    """

    def __init__(self, model: keras.Model, data: TrainingData) -> None:
        self._model, self._data = model, data
        layers = model._flatten_layers()
        norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
        self._layers = [layer for layer in norms if layer.trainable and not in_inference(layer)]
        self._measured: list[keras.layers.Layer] = []
        self._compiled = tf.function(self._batch_moments)

    def __call__(self, rows: np.ndarray) -> None:
        """Set the moving mean and variance to their means over ``rows`` (batches, batch)."""
        if not self._layers:
            return
        before = [variable.numpy() for variable in self._model.non_trainable_variables]
        sums: list[np.ndarray] = []
        for stored in self._data.batches(rows[:BATCHES]):
            moments = [moment.numpy() for moment in self._compiled(stored)]
            sums = [a + b for a, b in zip(sums, moments, strict=True)] if sums else moments
        for variable, value in zip(self._model.non_trainable_variables, before, strict=True):
            variable.assign(value)
        means = iter(total / len(rows[:BATCHES]) for total in sums)
        for layer in self._measured:
            layer.moving_mean.assign(next(means))
            layer.moving_variance.assign(next(means))

    def _batch_moments(self, stored: tf.Tensor) -> list[tf.Tensor]:
        seen: Moments = {}
        with as_written(self._model), hooked({layer: _measuring(layer, seen) for layer in self._layers}):
            self._model(self._data.inputs(stored), training=True)
        self._measured = list(seen)
        return [moment for moments in seen.values() for moment in moments]


def _measuring(layer: keras.layers.BatchNormalization, seen: Moments) -> Callable[..., tf.Tensor]:
    """Return the layer's call that also notes the mean and variance of its inputs, (channels,) each."""
    original = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if training is not False:
            axes = [axis for axis in range(len(inputs.shape)) if axis != layer.axis % len(inputs.shape)]
            seen[layer] = tf.nn.moments(inputs, axes)
        return original(inputs, training=training, mask=mask)

    return call
