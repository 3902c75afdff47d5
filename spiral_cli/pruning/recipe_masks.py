"""Masks as a recipe asks for them: its criterion, allocation and granularity, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spiral_cli.pruning import allocation, granularity
from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.pruning.masks import make_masks
from spiral_cli.pruning.scoring import score
from spiral_cli.recipe.prune import Prune


def recipe_masks(
    prune: Prune,
    weights: Arrays,
    density: float,
    *,
    evidence: Evidence,
    input_axes: Mapping[str, tuple[int, ...]] | None = None,
    within: Arrays | None = None,
) -> dict[str, np.ndarray]:
    """Return which weights to keep by a recipe's ``prune``.

    Args:
        prune: names criterion, allocation and granularity.
        weights: by name, any shape; zero outside of ``within``.
        density, input_axes, within: as `make_masks` takes them.
        evidence: what the criterion needs.

    Returns:
        bool arrays in the shapes of the weights, True = kept.

    Raises:
        SpiralError: what the criterion answers is no score of every weight.
        DivergedError: a score is NaN or infinite.
        UsageError: a pattern of ``prune.allocation`` matches no layer.
    """
    prune = without_detour(prune)
    return make_masks(
        score(prune.criterion, weights, evidence),
        density,
        allocation=allocation.from_recipe(prune),
        granularity=granularity.from_recipe(prune.granularity),
        input_axes=input_axes,
        within=within,
        weights=weights,
        overwrite=True,
    )


def without_detour(prune: Prune) -> Prune:
    """Return settings with the same masks, by which single weights need no LAMP score each.

    In a layer LAMP ranks as magnitude does; across layers the allocation `lamp` counts as its
    global ranking does. To count, sorted weights are enough; scores would need their places too,
    which takes up to three times as long and twice the memory.
    """
    if prune.granularity == "unstructured" and prune.criterion == "lamp" and prune.allocation in ("global", "lamp"):
        return prune.model_copy(update={"criterion": "magnitude", "allocation": "lamp"})
    return prune
