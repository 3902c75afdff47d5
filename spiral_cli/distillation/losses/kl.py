"""Kullback-Leibler divergence of softened outputs."""

from __future__ import annotations

import tensorflow as tf

from spiral_cli.registry import losses


@losses.register("kl")
def kl(student: tf.Tensor, teacher: tf.Tensor, temperature: float, exclusive: bool) -> tf.Tensor:
    """T² · KL(teacher at T ‖ student at T), on logits (Hinton et al. 2015).

    The factor T² keeps the gradient's size independent of the temperature. With T = 1 this is
    the soft-label cross-entropy up to the teacher's entropy, a constant.

    Args:
        student: logits of shape (batch, classes).
        teacher: logits of shape (batch, classes).
        temperature: T > 0.
        exclusive: True where classes exclude each other (softmax); False where every logit is a
            label of its own (sigmoid): then the mean over labels of Bernoulli divergences.

    Returns:
        (batch,), at least zero, and zero for equal logits.
    """
    student, teacher = student / temperature, teacher / temperature
    if exclusive:
        log_p, log_q = tf.nn.log_softmax(teacher), tf.nn.log_softmax(student)
        divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
    else:
        # p·log p/q + (1-p)·log (1-p)/(1-q), with log(1 - sigmoid(z)) = log sigmoid(-z)
        p = tf.sigmoid(teacher)
        on = tf.math.log_sigmoid(teacher) - tf.math.log_sigmoid(student)
        off = tf.math.log_sigmoid(-teacher) - tf.math.log_sigmoid(-student)
        divergence = tf.reduce_mean(p * on + (1.0 - p) * off, axis=-1)
    return temperature**2 * divergence
