"""Losses of models that say something at every place of a row: what is padding counts nothing."""

from __future__ import annotations

import tensorflow as tf

from spiral_cli.tasks.head import DistillationLoss


def crossentropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Cross-entropy against class indices, a part of whose probability is spread over all classes alike.

    Args:
        logits: (…, classes).
        labels: (…) int32.
        smoothing: that part (Szegedy et al. 2016).

    Returns:
        (…) float32.
    """
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    if not smoothing:
        return hard
    even = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)  # mean of -log p
    return (1.0 - smoothing) * hard + smoothing * even


def mean_of_real(losses: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
    """Return the mean (batch,) of ``losses`` (batch, places) over the places where ``real`` (batch, places) is 1."""
    return tf.reduce_sum(losses * real, axis=1) / tf.maximum(tf.reduce_sum(real, axis=1), 1.0)


def at_every_place(
    loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, exclusive: bool
) -> tf.Tensor:
    """Return a distillation ``loss`` (batch, places) of logits (batch, places, outputs)."""
    width = logits.shape[-1]
    rows = loss(tf.reshape(logits, (-1, width)), tf.reshape(taught, (-1, width)), temperature, exclusive)
    return tf.reshape(rows, tf.shape(logits)[:2])
