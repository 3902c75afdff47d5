"""Masks from scores: exact counts whatever the scores, stable where they are equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.pruning.allocation import Allocation
from spiral_cli.pruning.granularity import Granularity
from spiral_cli.pruning.ranking import Scores


def make_masks(
    scores: Scores,
    density: float,
    *,
    allocation: Allocation,
    granularity: Granularity,
    input_axes: Mapping[str, tuple[int, ...]] | None = None,
    within: Mapping[str, np.ndarray] | None = None,
    weights: Scores | None = None,
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

    Returns:
        bool arrays in the shapes of the scores, True = kept: round(density · weights) of them where
        layers, ``within`` and the granularity allow, at least one a layer.

    Raises:
        DivergedError: a score is NaN or infinite.
    """
    axes = {name: tuple(range(array.ndim - 1)) for name, array in scores.items()} | dict(input_axes or {})
    ranked = {name: _ranked(name, array, within) for name, array in scores.items()}
    marked = granularity.mark(ranked, density, axes)
    counts = allocation(marked, density, weights)
    return {name: granularity.pick(array, counts[name], axes[name]) for name, array in marked.items()}


def _ranked(name: str, scores: np.ndarray, within: Mapping[str, np.ndarray] | None) -> np.ndarray:
    """Return finite scores as floats, with -inf where earlier masks cut."""
    scores = np.asarray(scores, np.result_type(scores, np.float32))
    if not np.isfinite(scores).all():
        raise DivergedError(
            f"scores of '{name}' are NaN or infinite; its weights or gradients have diverged: "
            "lower train.learning_rate or choose another prune.criterion"
        )
    return scores if within is None else np.where(within[name], scores, scores.dtype.type(-np.inf))
