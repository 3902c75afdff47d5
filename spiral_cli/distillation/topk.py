"""A teacher of many classes in few numbers: its largest logits and the mass of all others.

What is left out is at temperature T one number, the others' sum; spread evenly over them it gives
back every kept probability exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

INDICES, VALUES, REST = "top/indices", "top/values", "top/rest"


def largest(logits: np.ndarray, count: int, temperature: float) -> dict[str, np.ndarray]:
    """Return the ``count`` largest logits of each row and what remains.

    Args:
        logits: (n, …, classes), more classes than ``count``.
        temperature: T at which the remaining mass is taken.

    Returns:
        `INDICES` (n, …, count) uint16, int32 for more than 65,536 classes; `VALUES` (n, …, count) float16,
        relative to the largest; `REST` (n, …) float16, log Σ exp(z / T) over the other classes, the
        largest logit at 0.
    """
    z = logits.astype(np.float32) - logits.max(axis=-1, keepdims=True)
    indices = np.argpartition(-z, count - 1, axis=-1)[..., :count]
    mass = np.exp(z / temperature)
    np.put_along_axis(mass, indices, 0.0, axis=-1)
    rest = np.log(np.maximum(mass.sum(axis=-1), np.finfo(np.float32).tiny))
    return {
        INDICES: indices.astype(np.uint16 if z.shape[-1] <= 1 << 16 else np.int32),
        VALUES: np.take_along_axis(z, indices, axis=-1).astype(np.float16),
        REST: rest.astype(np.float16),
    }


def spread(top: Mapping[str, tf.Tensor], classes: int, temperature: float) -> tf.Tensor:
    """Return logits (batch, …, classes) that are those of `largest` where it kept them, alike elsewhere.

    Their softmax at ``temperature`` has the teacher's own probabilities at the kept classes.
    """
    count = top[INDICES].shape[-1]
    indices = tf.reshape(tf.cast(top[INDICES], tf.int32), (-1, count))
    values = tf.reshape(tf.cast(top[VALUES], tf.float32), (-1, count))
    others = temperature * (tf.reshape(tf.cast(top[REST], tf.float32), (-1,)) - np.log(classes - count))  # (rows,)
    rows = tf.repeat(tf.range(tf.shape(indices)[0])[:, None], count, axis=1)
    base = tf.repeat(others[:, None], classes, axis=1)
    logits = tf.tensor_scatter_nd_update(base, tf.stack([rows, indices], axis=-1), values)
    return tf.reshape(logits, tf.concat([tf.shape(top[REST]), [classes]], 0))
