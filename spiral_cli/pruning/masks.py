"""Masks from scores: exact counts whatever the scores, stable where they are equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.pruning.allocation import Allocation
from spiral_cli.pruning.granularity import Granularity
from spiral_cli.pruning.ranking import Scores, blocks


def make_masks(
    scores: Scores,
    density: float,
    *,
    allocation: Allocation,
    granularity: Granularity,
    input_axes: Mapping[str, tuple[int, ...]] | None = None,
    within: Mapping[str, np.ndarray] | None = None,
    weights: Scores | None = None,
    overwrite: bool = False,
) -> dict[str, np.ndarray]:
    """Return which weights to keep.

    The steps: the granularity marks what must stay and what must go; the allocation says how many
    weights each layer keeps; the granularity picks that many.

    Args:
        scores: importance of every weight by layer; the higher is kept.
        density: fraction to keep of all weights, those already pruned included; above 0, at most 1.
        allocation: spreads the number of weights to keep over layers.
        granularity: the shape of what is pruned.
        input_axes: axes of the inputs by layer; all but the last where not given.
        within: earlier masks, bool; what they cut stays cut.
        weights: the weights themselves, for allocations that look at them; the scores stand in.
        overwrite: allow to mark in the scores what is cut, which saves a copy.

    Returns:
        bool arrays in the shapes of the scores, True = kept: round(density · weights) of them where
        layers, ``within`` and the granularity allow, at least one a layer.

    Raises:
        DivergedError: a score is NaN or infinite.
    """
    axes = {name: tuple(range(array.ndim - 1)) for name, array in scores.items()} | dict(input_axes or {})
    ranked = {name: _ranked(name, array, within, overwrite) for name, array in scores.items()}
    marked = granularity.mark(ranked, density, axes)
    counts = allocation(marked, density, weights)
    bound = getattr(counts, "bound", None)
    return {name: granularity.pick(array, counts[name], axes[name], bound) for name, array in marked.items()}


def _ranked(name: str, scores: np.ndarray, within: Mapping[str, np.ndarray] | None, overwrite: bool) -> np.ndarray:
    """Return finite scores as floats, with -inf where earlier masks cut."""
    scores = np.asarray(scores, np.result_type(scores, np.float32))
    if scores.size and not (np.isfinite(scores.min()) and np.isfinite(scores.max())):  # both are NaN where any is
        raise DivergedError(
            f"scores of '{name}' are NaN or infinite; its weights or gradients have diverged: "
            "lower train.learning_rate or choose another prune.criterion"
        )
    if within is None or within[name].all():
        return scores
    if not (overwrite and scores.flags.c_contiguous and scores.flags.writeable):
        scores = scores.copy()
    with np.errstate(divide="ignore"):
        for block, kept in zip(blocks(scores.ravel()), blocks(within[name].ravel()), strict=True):
            block += 1 - np.divide(1, kept, dtype=block.dtype)  # 0 or -inf: several times as fast as to assign by mask
    return scores
