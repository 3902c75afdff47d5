"""The one way weights are picked: by rank, never by comparing with a threshold alone.

Scores are real numbers, the higher is kept. Two more values carry orders from one room to the
next: -inf may not be kept, +inf must be.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Scores = Mapping[str, np.ndarray]


def keep_top(scores: np.ndarray, count: int) -> np.ndarray:
    """Return a bool mask, shaped as ``scores``, of the ``count`` highest; -inf is never kept.

    Of equal scores the earlier (flat) index is kept. Linear in time: the cut-off comes from a
    partial sort, ties at it are counted out.
    """
    flat = scores.ravel()
    count = min(count, possible(flat))
    if count <= 0:
        return np.zeros(scores.shape, bool)
    threshold = np.partition(flat, flat.size - count)[flat.size - count]
    mask = flat > threshold
    mask[np.flatnonzero(flat == threshold)[: count - np.count_nonzero(mask)]] = True
    return mask.reshape(scores.shape)


def possible(scores: np.ndarray) -> int:
    """Return how many weights may be kept."""
    return int(np.count_nonzero(scores > -np.inf))


def required(scores: np.ndarray) -> int:
    """Return how many weights must be kept: those at +inf, and one in any case where one may be."""
    return max(int(np.count_nonzero(scores == np.inf)), min(1, possible(scores)))


def target(scores: Scores, density: float) -> int:
    """Return how many weights a density means: a fraction of all, those cut before included."""
    return round(density * sum(array.size for array in scores.values()))
