"""One number a group: how much it matters. Pure NumPy, but for what a criterion's evidence took to collect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spiral_cli.channels.graph import Channels
from spiral_cli.errors import DivergedError
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.scoring import score
from spiral_cli.registry import criteria, group_criteria

Weights = Sequence[np.ndarray | None]
"""For every variable of the model, in order, its values, or None where it does not count."""


def group_sums(channels: Channels, values: Weights) -> np.ndarray:
    """Return the sum of ``values`` over everything that leaves with a group, (groups,)."""
    sums = np.zeros(channels.count)
    for array, axes in zip(values, channels.axes, strict=True):
        if array is None:
            continue
        for place, labels in enumerate(axes):
            if labels is not None:
                along = array.sum(axis=tuple(axis for axis in range(array.ndim) if axis != place), dtype=np.float64)
                member = labels >= 0
                sums += np.bincount(labels[member], along[member], channels.count)
    return sums


def relative(channels: Channels, scores: np.ndarray) -> np.ndarray:
    """Return scores over the mean of their space: a wide layer's norms are no larger than a narrow one's."""
    found = scores.astype(np.float64)
    for space in channels.spaces:
        mean = found[space.groups].mean()
        found[space.groups] /= mean if mean > 0 else 1.0
    return found


def group_scores(
    name: str,
    channels: Channels,
    kernels: Mapping[int, tuple[str, np.ndarray]],
    scales: Weights,
    evidence: Evidence,
) -> np.ndarray:
    """Return how much each group matters, (groups,); higher is kept.

    Args:
        name: a criterion of groups, or one of weights, whose scores are summed over a group. Norms
            are taken relative to the mean of their space; what estimates the loss compares as it is.
        channels: the groups.
        kernels: by place among the model's variables, the name and value of what may be pruned.
        scales: scales of batch normalisations, None for all other variables.
        evidence: what the criterion needs.

    Raises:
        DivergedError: a score is NaN or infinite.
    """
    count = len(channels.axes)
    if name in group_criteria.names():
        weights = [kernels[index][1] if index in kernels else None for index in range(count)]
        beside = (scales,) if group_criteria.part(name).facts.get("scales") else ()
        found = relative(channels, group_criteria.get(name)(channels, weights, *beside))
    else:
        scored = score(name, dict(kernels.values()), evidence)
        values = [scored[kernels[index][0]] if index in kernels else None for index in range(count)]
        found = group_sums(channels, values)
        if not criteria.part(name).facts.get("needs"):
            found = relative(channels, found)
    if not np.isfinite(found).all():
        raise DivergedError(
            f"prune.criterion: '{name}' gives NaN or infinity for some channels; the training diverged: lower the "
            "learning rate"
        )
    return found
