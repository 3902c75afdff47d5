"""Mean squared difference of logits."""

from __future__ import annotations

import tensorflow as tf

from spiral_cli.registry import losses


@losses.register("mse")
def mse(student: tf.Tensor, teacher: tf.Tensor, temperature: float, exclusive: bool) -> tf.Tensor:
    """Half the mean squared difference of logits (Ba and Caruana 2014): ``kl`` as T grows.

    Logits of exclusive classes mean the same when a constant is added to all of them, so both
    sides are centred first. ``temperature`` has no effect.

    Args:
        student: logits of shape (batch, classes).
        teacher: logits of shape (batch, classes).
        temperature: not used.
        exclusive: True where classes exclude each other.

    Returns:
        (batch,), at least zero.
    """
    difference = student - teacher
    if exclusive:
        difference -= tf.reduce_mean(difference, axis=-1, keepdims=True)
    return 0.5 * tf.reduce_mean(tf.square(difference), axis=-1)
