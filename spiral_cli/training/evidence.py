"""What criteria ask of the training data: gradients and input norms, collected by compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.hooks import hooked
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program, weighted_mean

BATCHES = 32  # enough for a stable mean
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
WITH_KERNEL = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    *TRANSPOSED,
)


class Collector:
    """Collects what a criterion ``needs`` over batches of training data, without changing any state.

    Layers run as in inference, so that no moving average and no random state moves.
    """

    def __init__(self, program: Program, needs: Sequence[str], seed: int) -> None:
        self._program, self._needs, self._seed = program, frozenset(needs), seed
        self._gradients = tf.function(self._batch_gradients)
        self._squares = tf.function(self._batch_input_squares)
        self._observed: list[str] = []

    def __call__(self, rows: np.ndarray) -> Evidence:
        """Return the evidence over ``rows`` (batches, batch) of the training data."""
        program = self._program
        names = [one.name for one in program.prunable]
        gradients = squared = norms = None
        if {"gradients", "squared_gradients"} & self._needs:
            means = mean(self._gradients(*example) for example in program.examples(rows))
            gradients = dict(zip(names, means[: len(names)], strict=True))
            squared = dict(zip(names, means[len(names) :], strict=True))
        if "input_norms" in self._needs:
            squares = mean(self._squares(stored) for stored in program.data.batches(rows))
            seen = {name: np.sqrt(square) for name, square in zip(self._observed, squares, strict=True)}
            usual = float(np.sqrt(np.mean([square.mean() for square in squares]))) if squares else 1.0
            norms = {
                one.name: seen.get(one.name, np.full((1,) * len(one.variable.shape), usual)) for one in program.prunable
            }
        return Evidence(gradients=gradients, squared_gradients=squared, input_norms=norms, seed=self._seed)

    def sample(self, batch_size: int, key: tuple[int, ...], at: int) -> Evidence:
        """Return the evidence over a few batches; arguments as for `gather`."""
        data = self._program.data
        rows, _ = epoch_rows(len(data.y), batch_size, (*key, 1), at, len(data.x) // len(data.y))
        return self(rows[:BATCHES])

    def _batch_gradients(self, stored, y, weight, targets):
        """Return the absolute gradients of all prunable variables, then their squares."""
        program = self._program
        local = tf.distribute.get_strategy().experimental_local_results  # of copies on several devices, those read here
        variables = [local(one.variable.value)[0] for one in program.prunable]
        with tf.GradientTape() as tape:
            with program.tracing("float32"):
                terms = program.terms(program.data.inputs(stored), y, targets, False)
            loss = weighted_mean(terms[0], weight)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        return [tf.abs(g) for g in gradients] + [tf.square(g) for g in gradients]

    def _batch_input_squares(self, stored):
        seen: dict[str, tf.Tensor] = {}
        with observing(self._program.model, self._program.prunable, seen):
            self._program.model(self._program.data.inputs(stored), training=False)
        self._observed = list(seen)
        return list(seen.values())


def gather(collect: Collector | None, batch_size: int, key: tuple[int, ...], at: int = 0) -> Evidence:
    """Return what a criterion asks of the training data.

    Args:
        collect: collects it; None where the criterion needs none.
        batch_size: examples a batch.
        key: of the stage, the seed first.
        at: tells one collection of a stage from another; the order of examples depends on it.
    """
    return Evidence(seed=key[0]) if collect is None else collect.sample(batch_size, key, at)


def mean(batches: Iterable[Sequence[tf.Tensor]]) -> list[np.ndarray]:
    """Return the mean over batches of each of their values."""
    sums, count = None, 0
    for values in batches:
        sums = values if sums is None else [total + value for total, value in zip(sums, values, strict=True)]
        count += 1
    return [total.numpy() / count for total in sums or ()]


def observing(
    model: keras.Model, prunable: Sequence[Prunable], seen: dict[str, tf.Tensor]
) -> AbstractContextManager[None]:
    """Return a context in which calls of the model add to ``seen``: name of a prunable to `mean_square`.

    Kernels whose input is no tensor of the layer's call (recurrent kernels, the pointwise part of
    a separable convolution) are left out; a criterion then sees the usual norm of the others for them.
    """
    by_id = {id(one.variable): one for one in prunable}
    layers = {layer: by_id.get(id(_kernel(layer))) for layer in model._flatten_layers()}
    return hooked({layer: _recording(layer, one, seen) for layer, one in layers.items() if one is not None})


def _kernel(layer: keras.layers.Layer) -> keras.Variable | None:
    """Return the variable that meets the layer's input directly, where that is known."""
    if isinstance(layer, keras.layers.Embedding):
        return layer._embeddings
    if isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        return layer.depthwise_kernel
    return layer.kernel if isinstance(layer, WITH_KERNEL) and layer.built else None


def _recording(layer: keras.layers.Layer, one: Prunable, seen: dict[str, tf.Tensor]) -> Callable:
    original = layer.call

    def call(inputs, *args, **kwargs):
        square = mean_square(layer, one, inputs)
        seen[one.name] = seen[one.name] + square if one.name in seen else square
        return original(inputs, *args, **kwargs)

    return call


def mean_square(layer: keras.layers.Layer, one: Prunable, inputs: tf.Tensor) -> tf.Tensor:
    """Return the mean square of each input feature, shaped to broadcast to the kernel.

    Args:
        layer: owner of the kernel.
        one: the kernel.
        inputs: the layer's input; token numbers for an embedding.
    """
    shape = one.variable.shape
    if isinstance(layer, keras.layers.Embedding):
        tokens = tf.reshape(tf.cast(inputs, tf.int32), [-1])
        frequency = tf.math.bincount(tokens, minlength=shape[0], maxlength=shape[0], dtype=tf.float32)
        return tf.reshape(frequency / tf.cast(tf.size(tokens), tf.float32), (shape[0], 1))
    if isinstance(layer, keras.layers.EinsumDense):
        features = len(one.input_axes)
        square = tf.reduce_mean(tf.square(inputs), axis=list(range(len(inputs.shape) - features)))
        return tf.reshape(square, [shape[axis] if axis in one.input_axes else 1 for axis in range(len(shape))])
    square = tf.reduce_mean(tf.square(inputs), axis=list(range(len(inputs.shape) - 1)))
    axis = _feature_axis(layer, len(shape))
    if shape[axis] != square.shape[0]:  # grouped convolution: every group sees the mean of its channels
        square = tf.reduce_mean(tf.reshape(square, (-1, shape[axis])), axis=0)
    return tf.reshape(square, [shape[i] if i == axis else 1 for i in range(len(shape))])


def _feature_axis(layer: keras.layers.Layer, rank: int) -> int:
    """Return the kernel axis that the layer's input features lie along."""
    return rank - 1 if isinstance(layer, TRANSPOSED) else rank - 2
