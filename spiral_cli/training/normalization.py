"""Batch normalisation as one operation each way on the CPU.

Keras composes it from some ten passes over its input, and their gradients from thirty; oneDNN has
it as one, which also takes the ReLU that follows along.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from spiral_cli.hooks import hooked
from spiral_cli.training.inference import in_inference


def fused_normalizations(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which the model's batch normalisations of images are traced this way in training."""
    layers = [layer for layer in model._flatten_layers() if fits(layer)]
    return hooked({layer: _fused(layer) for layer in layers})


def fits(layer: keras.layers.Layer) -> bool:
    """Say whether ``layer`` is a plain float32 batch normalisation over the last of four axes."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.trainable
        and not in_inference(layer)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype == layer.variable_dtype == "float32"
        and layer.input_spec.ndim == 4
        and layer.axis % 4 == 3
    )


def _fused(layer: keras.layers.BatchNormalization) -> Callable[..., tf.Tensor]:
    original = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not training or mask is not None:
            return original(inputs, training=training, mask=mask)
        outputs, mean, variance = normalize(
            inputs,
            tf.convert_to_tensor(layer.gamma) if layer.scale else None,
            tf.convert_to_tensor(layer.beta) if layer.center else None,
            layer.epsilon,
        )
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
        return outputs

    return call


def normalize(
    x: tf.Tensor, gamma: tf.Tensor | None, beta: tf.Tensor | None, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return ``x`` (batch, height, width, channels) normalised, and its mean and variance (channels,).

    Args:
        x: float32.
        gamma, beta: factor and offset (channels,), None for 1 and 0.
        epsilon: added to the variance.
    """
    channels, none = x.shape[3], tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.ones(channels) if gamma is None else gamma,
        offset=tf.zeros(channels) if beta is None else beta,
        mean=none,
        variance=none,
        epsilon=epsilon,
        is_training=True,
    )
    # The operation gives the unbiased variance, n / (n - 1) times that of these n values.
    count = tf.cast(tf.size(x) // channels, tf.float32)
    return outputs, mean, variance * (tf.maximum(count - 1.0, 1.0) / count)
