"""The teacher's targets: computed once, looked up in every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ensemble_logits(members: Sequence[np.ndarray], temperature: float, exclusive: bool) -> np.ndarray:
    """Return logits whose softened probabilities are the mean of the members'.

    With p_k = softmax(z_k / T), the result is T · log mean_k p_k (a sigmoid's log-odds where
    labels are independent), so that a loss at the same T sees exactly the averaged teacher.

    Args:
        members: logits of shape (n, classes), one array a teacher.
        temperature: T of the loss that will read the result.
        exclusive: True for softmax, False for sigmoid outputs.

    Returns:
        (n, classes) float32.
    """
    if len(members) == 1:
        return members[0]
    scaled = [member.astype(np.float64) / temperature for member in members]
    if exclusive:
        log_p = [z - _log_sum_exp(z) for z in scaled]
        mean = _log_mean_exp(log_p)
        return (temperature * mean).astype(np.float32)
    on = _log_mean_exp([-np.logaddexp(0.0, -z) for z in scaled])
    off = _log_mean_exp([-np.logaddexp(0.0, z) for z in scaled])
    return (temperature * (on - off)).astype(np.float32)


def _log_sum_exp(z: np.ndarray) -> np.ndarray:
    top = z.max(axis=-1, keepdims=True)
    return top + np.log(np.exp(z - top).sum(axis=-1, keepdims=True))


def _log_mean_exp(terms: Sequence[np.ndarray]) -> np.ndarray:
    total = np.logaddexp.reduce(np.stack(terms), axis=0)
    return total - np.log(len(terms))
