"""Attention and its projections as plain matrix products on the CPU.

TensorFlow takes the gradient of an einsum over three axes example by example and sums afterwards;
as one product of two matrices it is one call of the fastest kernel there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from spiral_cli.hooks import hooked


@contextmanager
def matrix_products(model: keras.Model) -> Iterator[None]:
    """Trace the model's `EinsumDense` and attention layers this way inside the block, where that is the same."""
    layers = list(model._flatten_layers())
    dense = {layer: _dense(layer) for layer in layers if contracts_last_axes(layer)}
    attention = {layer: _attention(layer) for layer in layers if type(layer) is keras.layers.MultiHeadAttention}
    with hooked(dense), hooked(attention, "_compute_attention"):
        yield


def contracts_last_axes(layer: keras.layers.Layer) -> bool:
    """Say whether ``layer`` multiplies the last axes of its input with the first ones of its kernel."""
    if type(layer) is not keras.layers.EinsumDense or not layer.built or "..." in layer.equation:
        return False
    inputs, kernel, outputs = letters(layer)
    for count in range(1, len(kernel)):
        taken, made = kernel[:count], kernel[count:]
        if inputs.endswith(taken) and outputs == inputs.removesuffix(taken) + made:
            return True
    return False


def letters(layer: keras.layers.EinsumDense) -> list[str]:
    """Return the axes of input, kernel and output, a letter each."""
    return layer.equation.replace("->", ",").split(",")


def _dense(layer: keras.layers.EinsumDense) -> Callable[..., tf.Tensor]:
    inputs, kernel, outputs = letters(layer)
    count = sum(axis not in outputs for axis in kernel)
    before = len(inputs) - count

    def call(x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        weights = tf.convert_to_tensor(layer.kernel)  # (taken…, made…)
        taken, made = math.prod(weights.shape[:count]), weights.shape[count:]
        flat = tf.reshape(x, (-1, taken)) @ tf.reshape(weights, (taken, math.prod(made)))
        sizes = [tf.shape(x)[i] if size is None else size for i, size in enumerate(x.shape[:before])]
        y = tf.reshape(flat, (*sizes, *made))
        y = y if layer.bias is None else y + tf.convert_to_tensor(layer.bias)
        return y if layer.activation is None else layer.activation(y)

    return call


def _attention(layer: keras.layers.MultiHeadAttention) -> Callable[..., Any]:
    original = layer._compute_attention  # which Keras names as the place for other ways

    def compute(
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        attention_mask: tf.Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        **more: Any,
    ) -> Any:
        plain = not (return_attention_scores or any(more.values())) and len(query.shape) == 4
        if not plain or (attention_mask is not None and len(attention_mask.shape) > 4):
            return original(query, key, value, attention_mask, training, return_attention_scores, **more)
        query, key, value = (tf.transpose(one, (0, 2, 1, 3)) for one in (query, key, value))  # (B, heads, T, size)
        scores = tf.matmul(query * tf.cast(layer._inverse_sqrt_key_dim, query.dtype), key, transpose_b=True)
        scores = tf.cast(scores, tf.float32)  # as Keras does: 16 bits are too few for exponents
        if layer._dropout > 0.0:
            weights = layer._dropout_layer(layer._masked_softmax(scores, attention_mask), training=training)
        else:
            weights = tf.nn.softmax(masked(scores, attention_mask))
        return tf.transpose(tf.matmul(tf.cast(weights, value.dtype), value), (0, 2, 1, 3)), None

    return compute


def masked(scores: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """Return scores (B, heads, T, S) as low as can be where ``mask`` (B, T, S), or with an axis for heads, is false."""
    if mask is None:
        return scores
    wide = tf.cast(mask, tf.bool)
    wide = wide[:, None] if len(wide.shape) == 3 else wide
    return tf.where(wide, scores, tf.constant(scores.dtype.min / 2, scores.dtype))
