"""Compiled, batched inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs, batches
from spiral_cli.data.preprocessing import ModelInputs, Preprocessing, few
from spiral_cli.tasks.head import Head

Forward = Callable[[ModelInputs], list[tf.Tensor]]


class Predictor:
    """Runs a model over arrays of any length in batches of one shape, traced once.

    Args:
        forward: takes model inputs (batch, …), returns a list of tensors (batch, …).
        preprocessing: turns stored rows into model inputs.
        most: examples a call, fewer where they are large.
    """

    def __init__(self, forward: Forward, preprocessing: Preprocessing, most: int = 512) -> None:
        self._batch_size = few(preprocessing.input_shape, most)
        self._call = tf.function(lambda x: forward(preprocessing.inputs(x)))

    def __call__(self, x: Inputs) -> list[np.ndarray]:
        """Return one array of length n for each output of ``forward``.

        Args:
            x: stored inputs (n, …), in memory or not.
        """
        return [np.concatenate(column) for column in zip(*self.batches(x), strict=True)]

    def batches(self, x: Inputs) -> Iterator[list[np.ndarray]]:
        """Yield the same piece by piece, for outputs larger than memory."""
        for batch, count in batches(x, self._batch_size):
            yield [output.numpy()[:count] for output in self._call(tf.constant(batch))]


def logits_of(model: keras.Model, head: Head) -> Forward:
    """Return the inference forward that gives a model's logits."""
    return lambda x: [head.logits(model(x, training=False))]
