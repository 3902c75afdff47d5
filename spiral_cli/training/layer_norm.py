"""Layer normalisation in few passes each way on the CPU.

Keras composes it of some ten operations, and TensorFlow their gradients of thirty, each a pass over
everything. Both ways are written out here and compiled by XLA (Ba, Kiros and Hinton 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from spiral_cli.hooks import hooked


def quick_layer_norms(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which the model's layer normalisations over the last axis are traced this way."""
    return hooked({layer: _quick(layer) for layer in model._flatten_layers() if fits(layer)})


def fits(layer: keras.layers.Layer) -> bool:
    """Say whether ``layer`` is a plain float32 layer normalisation over one axis with factor and offset."""
    return (
        type(layer) is keras.layers.LayerNormalization
        and layer.built
        and layer.gamma is not None
        and layer.beta is not None
        and not layer.rms_scaling
        and len(layer.axis) == 1
        and layer.compute_dtype == layer.variable_dtype == "float32"
    )


def _quick(layer: keras.layers.LayerNormalization) -> Callable[..., tf.Tensor]:
    original = layer.call

    def call(inputs: tf.Tensor) -> tf.Tensor:
        if layer.axis[0] not in (-1, len(inputs.shape) - 1):
            return original(inputs)
        return normalize(inputs, tf.convert_to_tensor(layer.gamma), tf.convert_to_tensor(layer.beta), layer.epsilon)

    return call


def normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Return ``x`` (…, features) with mean 0 and variance 1 along its last axis, times ``gamma``, plus ``beta``.

    Args:
        x: float32.
        gamma, beta: (features,).
        epsilon: added to the variance.
    """

    @tf.custom_gradient
    def both_ways(x, gamma, beta):
        outputs, normalised, scale = forward(x, gamma, beta, tf.constant(epsilon))
        return outputs, lambda upstream: backward(upstream, normalised, scale, gamma)

    return both_ways(x, gamma, beta)


@tf.function(jit_compile=True)
def forward(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the outputs, the normalised inputs, and what they were multiplied with (…, 1)."""
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + epsilon)
    normalised = centred * scale
    return normalised * gamma + beta, normalised, scale


@tf.function(jit_compile=True)
def backward(
    upstream: tf.Tensor, normalised: tf.Tensor, scale: tf.Tensor, gamma: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the gradients of the inputs, of ``gamma`` and of ``beta``."""
    rows = list(range(len(upstream.shape) - 1))
    weighted = upstream * gamma
    along = tf.reduce_mean(weighted * normalised, axis=-1, keepdims=True)
    inputs = scale * (weighted - tf.reduce_mean(weighted, axis=-1, keepdims=True) - normalised * along)
    return inputs, tf.reduce_sum(upstream * normalised, axis=rows), tf.reduce_sum(upstream, axis=rows)
