"""Bias and activation of a convolution after the max-pooling that follows it, on fewer values.

Adding a bias and ReLU keep the order of values, so the largest of a window stays the largest: the
result is the same to the last bit, and so is the gradient but where two of a window are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from spiral_cli.hooks import hooked

MONOTONE = (keras.activations.linear, keras.activations.relu)
Pair = tuple[keras.layers.Conv2D, keras.layers.MaxPooling2D]


def late_biases(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which the model's convolutions before max-poolings are traced this way."""
    calls: dict[keras.layers.Layer, Callable[..., tf.Tensor]] = {}
    for convolution, pooling in pairs(model):
        calls[convolution] = _bare(convolution)
        calls[pooling] = _pooled_first(convolution, pooling)
    return hooked(calls)


def pairs(model: keras.Model) -> list[Pair]:
    """Return the convolutions whose output nothing but one max-pooling sees, each with it."""
    layers = list(model._flatten_layers())
    outputs = {id(tensor) for layer in layers for tensor in getattr(layer, "outputs", None) or ()}
    found = []
    for layer in layers:
        if type(layer) is not keras.layers.Conv2D or layer.activation not in MONOTONE or not layer.use_bias:
            continue
        if layer.activity_regularizer is not None:  # it sees what the layer gives
            continue
        made, taken = layer._inbound_nodes, layer._outbound_nodes
        if len(made) != 1 or len(taken) != 1 or id(made[0].outputs[0]) in outputs:
            continue
        pooling = taken[0].operation
        if type(pooling) is keras.layers.MaxPooling2D and len(pooling._inbound_nodes) == 1:
            found.append((layer, pooling))
    return [pair for pair in found if all(one.data_format == "channels_last" for one in pair)]


def _bare(convolution: keras.layers.Conv2D) -> Callable[..., tf.Tensor]:
    def call(inputs: tf.Tensor) -> tf.Tensor:
        return convolution.convolution_op(inputs, convolution.kernel)

    return call


def _pooled_first(convolution: keras.layers.Conv2D, pooling: keras.layers.MaxPooling2D) -> Callable[..., tf.Tensor]:
    original = pooling.call

    def call(inputs: tf.Tensor) -> tf.Tensor:
        pooled = original(inputs)
        return convolution.activation(tf.nn.bias_add(pooled, tf.cast(convolution.bias, pooled.dtype)))

    return call
