"""Masks by rank: exact counts whatever the scores, stable where they are equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spiral_cli.pruning.allocation import Allocation
from spiral_cli.pruning.granularity import Granularity, Unstructured

Masks = dict[str, np.ndarray]


def make_masks(
    scores: Mapping[str, np.ndarray],
    density: float,
    *,
    allocation: Allocation,
    granularity: Granularity | None = None,
    input_axes: Mapping[str, tuple[int, ...]] | None = None,
    within: Mapping[str, np.ndarray] | None = None,
) -> Masks:
    """Return which weights to keep.

    Args:
        scores: importance of every weight, by layer; the higher is kept.
        density: fraction to keep of all weights, those already pruned included.
        allocation: spreads the number of weights to keep over layers.
        granularity: single weights by default.
        input_axes: axes of inputs by layer; all but the last by default.
        within: earlier masks; what they cut stays cut.

    Returns:
        bool arrays in the shapes of the scores, True = kept: round(density · weights) of them
        where layers and units allow, at least one a layer.

    Raises:
        ValueError: a score is NaN.
    """
    for name, array in scores.items():
        if np.isnan(array).any():
            raise ValueError(f"scores of '{name}' are NaN; the weights or gradients of this layer have diverged")
    granularity = granularity or Unstructured()
    axes = {name: tuple(range(array.ndim - 1)) for name, array in scores.items()} | dict(input_axes or {})
    if within is not None:  # before ranking, so that the dead protect nobody
        scores = {name: np.where(within[name], array, -np.inf) for name, array in scores.items()}
    ranks = granularity.ranks(scores, axes)
    if within is not None:
        ranks = {name: np.where(within[name], array, -np.inf) for name, array in ranks.items()}
    alive = {name: int(np.count_nonzero(~np.isneginf(array))) for name, array in ranks.items()}
    keep = round(density * sum(array.size for array in ranks.values()))
    counts = allocation(ranks, keep, alive)
    return {name: granularity.whole(keep_top(array, counts[name]), array, axes[name]) for name, array in ranks.items()}


def keep_top(scores: np.ndarray, count: int) -> np.ndarray:
    """Return a mask of the ``count`` highest scores; of equal ones the earlier (flat) index is kept."""
    flat = scores.ravel()
    if count >= flat.size:
        return np.ones(scores.shape, bool)
    threshold = np.partition(flat, flat.size - count)[flat.size - count]
    mask = flat > threshold
    tied = np.flatnonzero(flat == threshold)[: count - np.count_nonzero(mask)]
    mask[tied] = True
    return mask.reshape(scores.shape)
